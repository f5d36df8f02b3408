/**
 * What may come in. KubeVirt's rule sets A to E (kubevirt-datapath 3.3) become three questions with one answer
 * each, so that the tables need no variants: which flows are translated, which local sources need the gateway's
 * address, which ports of the pod itself stay open.
 */
import type { NicContext } from "../../plan/binding.ts";
import { openPorts } from "../../plan/parts/inbound.ts";
import type { PortInterval } from "../../plan/parts/port-intervals.ts";

const SSH: PortInterval = { protocol: "tcp", start: 22, end: 22 };

export interface Inbound {
  /** Translated to the guest from outside: everything, or these. */
  readonly forward: "all" | readonly PortInterval[];
  /** Translated to the guest from the pod itself, the mesh's proxy included. */
  readonly local: "all" | readonly PortInterval[];
  /** Flows from the pod's loopback to these TCP ports are left alone. */
  readonly exemptTcpPorts: readonly number[];
  /** A mesh owns the pod's inbound traffic, so what is not translated is not dropped either. */
  readonly meshed: boolean;
}

export function inboundOf(nic: NicContext): Inbound {
  const { ports: open, meshed, meshPorts } = openPorts(nic);
  const migration = nic.vm.migrationTransport === "Unix" ? [] : [49152, 49153];
  return {
    // Traffic reaches the guest through the proxy; only ssh goes around it.
    forward: meshed ? (open === "all" || includesSsh(open) ? [SSH] : []) : open,
    local: open,
    exemptTcpPorts: [...migration, ...(open === "all" ? meshPorts : [])],
    meshed,
  };
}

/** Loopback sources whose flows need the gateway's address to come back; 127.0.0.6 is Istio's pass-through. */
export function loopbackSources(family: 4 | 6, inbound: Inbound): readonly string[] {
  if (family === 6) return ["::1"];
  return inbound.meshed ? ["127.0.0.1", "127.0.0.6"] : ["127.0.0.1"];
}

function includesSsh(intervals: readonly PortInterval[]): boolean {
  // KubeVirt forwards TCP 22 whatever the declared protocol is.
  return intervals.some(({ start, end }) => start <= 22 && 22 <= end);
}
