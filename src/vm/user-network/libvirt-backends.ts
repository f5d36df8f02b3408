/**
 * User networks whose program libvirt runs: all that is known of them is whether QEMU has a connection to it. Nothing
 * is said of one before QEMU did.
 */
import type { BackendInterface } from "../../domain/interface.ts";
import type { NicPlan } from "../../plan/plan.ts";
import type { UserNetworkStatus } from "./files.ts";

type WatchedNic = Pick<NicPlan, "name" | "domain">;

export function onLibvirtBackend(nics: readonly WatchedNic[]): boolean {
  return nics.some(({ domain }) => domain.type === "user-backend");
}

export class LibvirtBackends {
  #statuses: readonly UserNetworkStatus[] = [];

  /** @param alias of the NIC that QEMU told of @returns all that is known; undefined when the NIC is none of these */
  told(
    nics: readonly WatchedNic[],
    alias: string,
    connected: boolean,
  ): readonly UserNetworkStatus[] | undefined {
    const nic = nics.find(({ domain }) => domain.alias === alias);
    if (nic?.domain.type !== "user-backend") return undefined;
    const before = this.#statuses.find((one) => one.nic === nic.name);
    const others = this.#statuses.filter((one) => one !== before);
    this.#statuses = [...others, next(nic.name, nic.domain, before, connected)];
    return this.#statuses;
  }
}

function next(
  nic: string,
  { backend: program }: BackendInterface,
  before: UserNetworkStatus | undefined,
  connected: boolean,
): UserNetworkStatus {
  const restarts = before?.restarts ?? 0;
  if (!connected) {
    const reason = "is gone; libvirt starts it once more, and QEMU looks for it every few seconds";
    return { nic, program, state: "down", restarts, reason };
  }
  return { nic, program, state: "up", restarts: before?.state === "down" ? restarts + 1 : restarts };
}
