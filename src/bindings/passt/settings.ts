/** What was decided for one passt, before it is written as arguments, as libvirt's XML, or in words. */
import type { PortForward } from "../../domain/interface.ts";
import type { NicContext } from "../../plan/binding.ts";
import type { HostPorts } from "../../plan/plan.ts";
import type { PasstAddress } from "./addresses.ts";

export interface PasstSettings {
  readonly nic: NicContext;
  readonly ipv4?: PasstAddress;
  readonly ipv6?: PasstAddress;
  readonly mtu: number;
  readonly forwards: readonly PortForward[];
  /** In their place where there is no pod. */
  readonly hostPorts?: readonly HostPorts[];
}
