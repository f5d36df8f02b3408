/**
 * A guest NIC in the domain XML, as data. Names and order follow libvirt's `<interface>`. The kinds differ in what
 * QEMU joins the NIC to; the NIC itself is the same in all of them.
 */
import type { Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";

export type DomainInterface = TapInterface | UserInterface | PasstInterface;

export interface DomainNic {
  /** With libvirt's obligatory prefix for user aliases: `ua-default`. */
  readonly alias: string;
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

/** A tap, or what opens like one, that phase 1 made. */
export interface TapInterface extends DomainNic {
  readonly type: "ethernet";
  readonly target: { readonly dev: string; readonly managed: false };
}

/**
 * A QEMU network backend that libvirt has no element for. libvirt makes the NIC, as for its own user network, and
 * QEMU is told to join it to this one instead (`<qemu:override>`).
 */
export interface UserInterface extends DomainNic {
  readonly type: "user";
  readonly netdev: StreamNetdev | SlirpNetdev;
}

/** QEMU listens on a Unix socket for the program that is the network; frames behind a 32-bit length. */
export interface StreamNetdev {
  readonly type: "stream";
  /** A file of the pod's folder: `passt-eth0.sock`. */
  readonly socket: string;
}

/** QEMU's own TCP/IP, as a NAT. */
export interface SlirpNetdev {
  readonly type: "slirp";
  readonly ipv4?: { readonly network: string; readonly host: Ip; readonly guest: Ip; readonly dns: Ip };
  readonly ipv6?: { readonly network: string; readonly host: Ip; readonly dns: Ip };
  readonly hostname: string;
  readonly searchDomains: readonly string[];
  readonly forwards: readonly { readonly protocol: "tcp" | "udp"; readonly port: number }[];
}

/** passt as libvirt's own backend: libvirt starts it, and starts it again when it dies. */
export interface PasstInterface extends DomainNic {
  readonly type: "passt";
  /** vhost-user: QEMU and passt share the guest's memory, all of it. */
  readonly attach: "backend" | "vhost-user";
  /** The pod's link whose addresses the guest gets. */
  readonly source: string;
  readonly addresses: readonly { readonly ip: Ip; readonly prefix: number }[];
  readonly forwards: readonly PasstForward[];
}

/** Empty `ranges`: every port. */
export interface PasstForward {
  readonly protocol: "tcp" | "udp";
  readonly ranges: readonly { readonly start: number; readonly end: number; readonly exclude?: true }[];
}
