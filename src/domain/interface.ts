/**
 * A guest NIC in the domain XML, as data. Names and order follow libvirt's `<interface>`. The kinds differ in what
 * QEMU joins the NIC to; the NIC itself is the same in all of them.
 */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";

export type DomainInterface = TapInterface | UserInterface | BackendInterface;

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
  readonly netdev: StreamNetdev | BuiltinNetdev;
}

/** QEMU listens on a Unix socket for the program that is the network; frames behind a 32-bit length. */
export interface StreamNetdev {
  readonly type: "stream";
  /** A file of the pod's folder: `passt-eth0.sock`. */
  readonly socket: string;
}

/** QEMU's own TCP/IP, as a NAT (libslirp). */
export interface BuiltinNetdev {
  readonly type: "builtin";
  readonly ipv4?: { readonly network: Cidr; readonly host: Ip; readonly guest: Ip; readonly dns: Ip };
  readonly ipv6?: { readonly network: Cidr; readonly host: Ip; readonly dns: Ip };
  readonly hostname: string;
  readonly searchDomains: readonly string[];
  readonly forwards: readonly { readonly protocol: "tcp" | "udp"; readonly port: number }[];
}

/** A program that libvirt knows as a backend: libvirt starts it, and starts it again when it dies. */
export interface BackendInterface extends DomainNic {
  readonly type: "user-backend";
  readonly backend: string;
  /** By vhost-user QEMU and the program share the guest's memory, all of it. */
  readonly attach: "stream" | "vhost-user";
  /** The pod's link whose addresses the guest gets. */
  readonly source: string;
  readonly addresses: readonly Cidr[];
  readonly forwards: readonly PortForward[];
}

/** From the outside to the same port of the guest. Without ranges every port; without any included one all others. */
export interface PortForward {
  readonly protocol: "tcp" | "udp";
  readonly ranges: readonly PortRange[];
}

export interface PortRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
  readonly exclude?: true;
}
