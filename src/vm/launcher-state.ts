/** A launcher's status, and everybody who watches it. */
import type { GuestLease, LauncherStatus } from "./launch-spec.ts";

export type Phase = LauncherStatus["phase"];

const NO_AGENT: LauncherStatus["agent"] = { connected: false, interfaces: [] };

export class LauncherState {
  #status: LauncherStatus = { phase: "idle", agent: NO_AGENT, leases: [] };
  readonly #watchers = new Set<(status: LauncherStatus) => void>();

  get status(): LauncherStatus {
    return this.#status;
  }

  /** Told now and at every change, until the returned function is called. */
  watch(watcher: (status: LauncherStatus) => void): () => void {
    this.#watchers.add(watcher);
    watcher(this.#status);
    return () => this.#watchers.delete(watcher);
  }

  /** The phase that holds from now on, with its reason or without one. */
  enter(phase: Phase, reason?: string): void {
    const { reason: _before, ...rest } = this.#status;
    this.#set({ ...rest, phase, ...(reason === undefined ? {} : { reason }) });
  }

  update(part: Partial<Pick<LauncherStatus, "qemuPid" | "libvirtdPid" | "agent" | "networks">>): void {
    this.#set({ ...this.#status, ...part });
  }

  agentConnected(connected: boolean): void {
    // The last answers stay after a disconnection, as in KubeVirt: a rebooting guest keeps its addresses.
    this.#set({ ...this.#status, agent: { ...this.#status.agent, connected } });
  }

  leased(lease: GuestLease): void {
    const others = this.#status.leases.filter(({ link, via }) => link !== lease.link || via !== lease.via);
    this.#set({ ...this.#status, leases: [...others, lease] });
  }

  /** QEMU is gone: nothing of the guest is true any more. */
  qemuGone(): void {
    const { qemuPid: _gone, networks: _too, ...rest } = this.#status;
    this.#status = { ...rest, agent: NO_AGENT, leases: [] };
  }

  #set(status: LauncherStatus): void {
    if (JSON.stringify(status) === JSON.stringify(this.#status)) return;
    this.#status = status;
    for (const watcher of this.#watchers) watcher(status);
  }
}
