/** A guest NIC in the domain XML, as data. Names and order follow libvirt's `<interface>`. */
import type { Mac } from "../base/mac.ts";

export interface DomainInterface {
  readonly type: "ethernet";
  /** With libvirt's obligatory prefix for user aliases: `ua-default`. */
  readonly alias: string;
  readonly target: { readonly dev: string; readonly managed: false };
  readonly mac: Mac;
  /** `virtio-non-transitional`, `e1000`, … */
  readonly model: string;
  readonly mtu: number;
  /** Present for multiqueue; KubeVirt: `name='vhost' queues='N'`. */
  readonly driver?: { readonly name: "vhost" | "qemu"; readonly queues?: number };
  readonly bootOrder?: number;
  /** Absent option ROM: the NIC is not offered for network boot. */
  readonly romEnabled: boolean;
  readonly linkState?: "down";
  /** `0000:81:01.0` */
  readonly pciAddress?: string;
  readonly acpiIndex?: number;
}
