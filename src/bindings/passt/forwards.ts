/** What is open, as forwards. A protocol that is not mentioned is closed. */
import type { PortForward, PortRange } from "../../domain/interface.ts";
import type { OpenPorts } from "../../plan/parts/inbound.ts";

export function forwardsOf({ ports, meshPorts }: OpenPorts): readonly PortForward[] {
  const reserved = meshPorts.map((port): PortRange => ({ start: port, end: port, exclude: true }));
  if (ports === "all") {
    // A mesh takes TCP only; KubeVirt forwards no UDP beside one.
    return reserved.length > 0
      ? [{ protocol: "tcp", ranges: reserved }]
      : [
          { protocol: "tcp", ranges: [] },
          { protocol: "udp", ranges: [] },
        ];
  }
  return (["tcp", "udp"] as const).flatMap((protocol): PortForward[] => {
    const declared = ports
      .filter((one) => one.protocol === protocol)
      .map(({ start, end }): PortRange => ({ start, end }));
    if (declared.length === 0) return [];
    const taken = reserved.filter(
      ({ start: port }) =>
        protocol === "tcp" && declared.some(({ start, end }) => start <= port && port <= end),
    );
    return [{ protocol, ranges: [...declared, ...taken] }];
  });
}
