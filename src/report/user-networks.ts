/**
 * What is said of NICs whose network is a program: a condition while one is down, and events when one ended and when
 * it was back. Pure.
 */
import type { Condition } from "../api/object.ts";
import { dropCondition, setCondition } from "./conditions.ts";

export interface UserNetworkFacts {
  readonly nic: string;
  readonly program: string;
  readonly state: "starting" | "up" | "down";
  /** How the program ended the last time. */
  readonly reason?: string;
  readonly restarts: number;
}

export interface UserNetworkEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: "NetworkBackendDied" | "NetworkBackendBack";
  readonly message: string;
}

/** There while the guest has a NIC that leads nowhere. */
export const NETWORK_BACKEND_DOWN = "NetworkBackendDown";

export function withUserNetworks(
  conditions: readonly Condition[],
  networks: readonly UserNetworkFacts[],
  now: string,
): readonly Condition[] {
  const down = networks.filter(({ state }) => state !== "up");
  if (down.length === 0) return dropCondition(conditions, NETWORK_BACKEND_DOWN);
  const message = down.map(said).join("; ");
  const reason = "BackendDied";
  return setCondition(conditions, { type: NETWORK_BACKEND_DOWN, status: "True", reason, message }, now);
}

/** One that died and is back before anybody looked is told of all the same. */
export function userNetworkEvents(
  before: readonly UserNetworkFacts[] = [],
  now: readonly UserNetworkFacts[] = [],
): readonly UserNetworkEvent[] {
  return now.flatMap((network): UserNetworkEvent[] => {
    const old = before.find(({ nic }) => nic === network.nic);
    // The first look: what was before is somebody else's, or of the start.
    if (old === undefined) return [];
    const died =
      network.state === "down"
        ? old.state !== "down"
        : network.restarts > old.restarts && old.state !== "down";
    const back = network.state === "up" && (old.state !== "up" || died);
    return [
      ...(died ? [{ type: "Warning", reason: "NetworkBackendDied", message: said(network) } as const] : []),
      ...(back
        ? [
            {
              type: "Normal",
              reason: "NetworkBackendBack",
              message: `${named(network)} is there again`,
            } as const,
          ]
        : []),
    ];
  });
}

function said(network: UserNetworkFacts): string {
  const why = network.reason === undefined ? "is not there yet" : network.reason;
  return `${named(network)} ${why}; started again ${network.restarts} times`;
}

function named({ nic, program }: UserNetworkFacts): string {
  return `${program} of NIC ${nic}`;
}
