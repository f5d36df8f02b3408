/**
 * What the node daemon and a VM's launcher say to each other: HTTP with JSON bodies on `<pod dir>/launcher.sock`.
 *
 *   POST /start     LaunchSpec                    → LauncherStatus, once QEMU runs; an error object otherwise
 *   GET  /status                                  → LauncherStatus
 *   GET  /watch                                   → LauncherStatus a line, now and at every change
 *   GET  /xml                                     → the live domain XML, as libvirt has it
 *   POST /shutdown  {"graceSeconds": 30}          → 200 when the domain is off (asked first, destroyed after grace)
 *   POST /agent     {"command": {…QGA command…}}  → the guest agent's answer
 *
 * The serial console is `<pod dir>/console.sock`: raw bytes, any number of clients, the last output replayed.
 * The daemon starts the launcher before the network is wired, so that both proceed at once; /start comes after.
 */
import type { Vmi } from "../api/types.ts";
import type { Accelerator, DomainDisk, DomainKernel } from "../domain/devices.ts";
import type { Plan } from "../plan/plan.ts";
import type { UserNetworkStatus } from "./user-network/files.ts";

export interface LaunchSpec {
  readonly vmi: Vmi;
  /** The stored plan: NICs of the domain and services at the guest's door come from it. */
  readonly plan: Plan;
  readonly disks: readonly DomainDisk[];
  readonly kernel?: DomainKernel;
  readonly accelerator: Accelerator;
}

/** A descriptor table entry handed over at spawn: an unbound AF_PACKET socket of the pod's namespace. */
export const FIRST_PACKET_FD = 3;

export interface AgentInterface {
  readonly name: string;
  readonly mac?: string;
  readonly ips: readonly string[];
}

export interface GuestLease {
  readonly link: string;
  readonly mac: string;
  readonly ip: string;
  readonly via: "dhcp4" | "dhcp6";
}

export interface LauncherStatus {
  readonly phase: "idle" | "starting" | "running" | "paused" | "shutdown" | "crashed" | "failed";
  /** Why it is in that phase, for people. */
  readonly reason?: string;
  readonly qemuPid?: number;
  readonly libvirtdPid?: number;
  readonly agent: {
    readonly connected: boolean;
    readonly interfaces: readonly AgentInterface[];
    readonly osInfo?: Readonly<Record<string, string>>;
  };
  readonly leases: readonly GuestLease[];
  /** Of NICs whose network is a program; absent where there is none. */
  readonly networks?: readonly UserNetworkStatus[];
}

export interface LauncherError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}
