/**
 * A connection to the libvirtd of one VM, in words of ours.
 *
 * Theory of operation. libvirt has one event loop a process. It is run by a call that blocks in poll on a thread of
 * libuv's pool and is made again each time it returns; events come back to the main thread through koffi. A zero
 * timeout wakes the loop when it must end: a process cannot exit while a pool thread is inside a call.
 * Errors are told to one function of the process before the failing call returns; as the main thread sees both
 * in that order, the last one told belongs to the call that failed.
 */
import { PodtapError } from "../base/errors.ts";
import {
  closeCallback,
  domainEventCallback,
  errorCallback,
  freeString,
  monitorEventCallback,
  type Pointer,
  timeoutCallback,
  virt,
} from "./libvirt-library.ts";

export type DomainState =
  | "none"
  | "running"
  | "blocked"
  | "paused"
  | "shutting-down"
  | "off"
  | "crashed"
  | "suspended";
/** libvirt-domain.h `virDomainState`, in its order. */
const STATES: readonly DomainState[] = [
  "none",
  "running",
  "blocked",
  "paused",
  "shutting-down",
  "off",
  "crashed",
  "suspended",
];

export type DomainEvent = "started" | "suspended" | "resumed" | "stopped" | "shutdown" | "crashed" | "other";
/** `virDomainEventType`: defined and undefined come first. */
const EVENTS: readonly DomainEvent[] = [
  "other",
  "other",
  "started",
  "suspended",
  "resumed",
  "stopped",
  "shutdown",
  "other",
  "crashed",
];
/** `virDomainEventStoppedDetailType`. */
export type StopDetail = "shutdown" | "destroyed" | "crashed" | "migrated" | "saved" | "failed" | "snapshot";
const STOPS: readonly StopDetail[] = [
  "shutdown",
  "destroyed",
  "crashed",
  "migrated",
  "saved",
  "failed",
  "snapshot",
];

export interface LibvirtListener {
  lifecycle(event: DomainEvent, stop: StopDetail | undefined): void;
  agent(connected: boolean): void;
  /** QEMU found the program on the other side of this NIC (its alias), or lost it; told after `watchBackends`. */
  backend(nic: string, connected: boolean): void;
  /** The daemon went away; the connection is of no more use and must still be closed. */
  lost(): void;
}

export const NO_DOMAIN = 42;

export class LibvirtError extends PodtapError {
  /** `virErrorNumber`. */
  readonly libvirtCode: number;

  constructor(tried: string, libvirtCode: number, said: string) {
    super({
      code: "PT-LIBVIRT-1",
      message: `libvirt could not ${tried}: ${said}`,
      hint: "The VM's own logs say more: libvirtd.log in its run directory, and qemu.log beside it.",
      retry: "soon",
    });
    this.name = "LibvirtError";
    this.libvirtCode = libvirtCode;
  }
}

const VIR_DOMAIN_START_PAUSED = 1;
const VIR_DOMAIN_DESTROY_GRACEFUL = 1;
const SHUTDOWN_FLAGS = { acpi: 1, agent: 2 } as const;
const LIFECYCLE_EVENT = 0;
const AGENT_EVENT = 18;
/** Of QEMU 7.2. */
const BACKEND_EVENTS = { found: "NETDEV_STREAM_CONNECTED", lost: "NETDEV_STREAM_DISCONNECTED" } as const;
/** How libvirt makes a backend's name of its NIC's alias. */
const NETDEV_PREFIX = "host";
/** Milliseconds. */
const ANNOUNCE = { initial: 50, max: 500, rounds: 4, step: 150 };

/** Of the process: libvirt's loop, and who listens on which connection. */
const listeners = new Map<Pointer, LibvirtListener>();
const lastError = { code: 0, message: "no reason given" };
let loop: EventLoop | undefined;

interface EventLoop {
  readonly onLifecycle: Pointer;
  readonly onAgent: Pointer;
  readonly onBackend: Pointer;
  readonly onClose: Pointer;
  readonly wake: () => void;
}

function startEventLoop(): EventLoop {
  virt.initialize();
  virt.setErrorFunc(
    null,
    errorCallback((code, message) => Object.assign(lastError, { code, message })),
  );
  if (virt.eventRegisterDefaultImpl() < 0) throw failed("register an event loop");
  const timer = virt.eventAddTimeout(
    -1,
    timeoutCallback(() => virt.eventUpdateTimeout(timer, -1)),
    null,
    null,
  );
  return {
    onLifecycle: domainEventCallback((conn, event, detail) => {
      const name = EVENTS[event] ?? "other";
      listeners.get(conn)?.lifecycle(name, name === "stopped" ? STOPS[detail] : undefined);
    }),
    onAgent: domainEventCallback((conn, state) => listeners.get(conn)?.agent(state === 1)),
    onBackend: monitorEventCallback((conn, event, details) => {
      const { "netdev-id": netdev = "" } = JSON.parse(details) as { "netdev-id"?: string };
      // Others are not libvirt's.
      if (!netdev.startsWith(NETDEV_PREFIX)) return;
      listeners.get(conn)?.backend(netdev.slice(NETDEV_PREFIX.length), event === BACKEND_EVENTS.found);
    }),
    onClose: closeCallback((conn) => listeners.get(conn)?.lost()),
    wake: () => virt.eventUpdateTimeout(timer, 0),
  };
}

/** Connections that are open; the loop turns while there is one. */
let open = 0;
let turning: Promise<void> | undefined;

async function turn(): Promise<void> {
  while (open > 0) {
    if ((await virt.eventRunDefaultImpl()) < 0) break;
  }
  turning = undefined;
}

/** Returns when no thread is inside the loop: one that waits for us to run its callback would hold up an exit. */
async function release(eventLoop: EventLoop): Promise<void> {
  open--;
  eventLoop.wake();
  if (open === 0) await turning;
}

function failed(tried: string): LibvirtError {
  return new LibvirtError(tried, lastError.code, lastError.message);
}

export class Libvirt {
  readonly #conn: Pointer;
  readonly #loop: EventLoop;
  #domain: Pointer | undefined;

  private constructor(conn: Pointer, eventLoop: EventLoop) {
    this.#conn = conn;
    this.#loop = eventLoop;
  }

  /** `socket`: the libvirt-sock of a session daemon; nothing is started when it does not answer. */
  static async connect(socket: string, listener: LibvirtListener): Promise<Libvirt> {
    loop ??= startEventLoop();
    open++;
    turning ??= turn();
    const conn = await virt.connectOpen(`qemu+unix:///session?socket=${encodeURIComponent(socket)}`);
    if (conn === null) {
      const problem = failed(`be reached on ${socket}`);
      await release(loop);
      throw problem;
    }
    listeners.set(conn, listener);
    const libvirt = new Libvirt(conn, loop);
    try {
      await libvirt.#listen(LIFECYCLE_EVENT, loop.onLifecycle);
      await libvirt.#listen(AGENT_EVENT, loop.onAgent);
      const registered = await virt.connectRegisterCloseCallback(conn, loop.onClose, null, null);
      check(registered, "watch its own connection");
    } catch (problem) {
      await libvirt.close();
      throw problem;
    }
    return libvirt;
  }

  /** Defines the domain, or defines it anew; every later call is about it. */
  async define(xml: string): Promise<void> {
    this.#hold(await virt.domainDefineXml(this.#conn, xml), "define the domain");
  }

  /** False when libvirt has no such domain. */
  async lookup(name: string): Promise<boolean> {
    const found = await virt.domainLookupByName(this.#conn, name);
    if (found === null && lastError.code === NO_DOMAIN) return false;
    this.#hold(found, `look for domain ${name}`);
    return true;
  }

  /** QEMU runs, its CPUs do not. */
  async createPaused(): Promise<void> {
    check(await virt.domainCreateWithFlags(this.#held(), VIR_DOMAIN_START_PAUSED), "start the domain");
  }

  async resume(): Promise<void> {
    check(await virt.domainResume(this.#held()), "let the domain run");
  }

  async state(): Promise<DomainState> {
    const state = new Int32Array(1);
    check(await virt.domainGetState(this.#held(), state, new Int32Array(1), 0), "read the domain's state");
    return STATES[state[0] ?? 0] ?? "none";
  }

  async xml(): Promise<string> {
    const xml = await virt.domainGetXmlDesc(this.#held(), 0);
    if (xml === null) throw failed("print the domain");
    return xml;
  }

  /** Only asks; the guest may take its time or not listen at all. */
  async askShutdown(by: keyof typeof SHUTDOWN_FLAGS): Promise<void> {
    check(
      await virt.domainShutdownFlags(this.#held(), SHUTDOWN_FLAGS[by]),
      `ask the guest to shut down by ${by}`,
    );
  }

  /** Asks QEMU to end, so that it writes its disks' state; `force` does not. */
  async destroy(force = false): Promise<void> {
    check(
      await virt.domainDestroyFlags(this.#held(), force ? 0 : VIR_DOMAIN_DESTROY_GRACEFUL),
      "destroy the domain",
    );
  }

  /** @returns the agent's whole answer, `{"return": …}`. */
  async agentCommand(command: object, timeoutSeconds: number): Promise<unknown> {
    const text = JSON.stringify(command);
    const answer = await virt.domainQemuAgentCommand(this.#held(), text, timeoutSeconds, 0);
    if (answer === null) throw failed("get an answer from the guest agent");
    return JSON.parse(answer);
  }

  /** Of NICs on a socket. */
  async watchBackends(): Promise<void> {
    for (const event of Object.values(BACKEND_EVENTS)) {
      const listening = virt.connectDomainQemuMonitorEventRegister;
      const id = await listening(this.#conn, null, event, this.#loop.onBackend, null, null, 0);
      check(id, "listen for QEMU's events");
    }
  }

  /** The guest's MAC is said on one of its NICs, by QEMU and by the guest where its driver can. */
  async announce(nic: string): Promise<void> {
    const command = { execute: "announce-self", arguments: { ...ANNOUNCE, interfaces: [nic] } };
    const answer: [Pointer | null] = [null];
    const done = await virt.domainQemuMonitorCommand(this.#held(), JSON.stringify(command), answer, 0);
    freeString(answer[0]);
    check(done, "have the guest announced");
  }

  /** Waits for the calls under way; the domain runs on. */
  async close(): Promise<void> {
    listeners.delete(this.#conn);
    if (this.#domain !== undefined) virt.domainFree(this.#domain);
    this.#domain = undefined;
    await virt.connectUnregisterCloseCallback(this.#conn, this.#loop.onClose);
    await virt.connectClose(this.#conn);
    await release(this.#loop);
  }

  async #listen(event: number, callback: Pointer): Promise<void> {
    const id = await virt.connectDomainEventRegisterAny(this.#conn, null, event, callback, null, null);
    check(id, "listen for events");
  }

  #hold(domain: Pointer | null, tried: string): void {
    if (domain === null) throw failed(tried);
    if (this.#domain !== undefined) virt.domainFree(this.#domain);
    this.#domain = domain;
  }

  #held(): Pointer {
    if (this.#domain === undefined) {
      throw new PodtapError({ code: "PT-LIBVIRT-2", message: "no domain is defined yet", blame: "podtap" });
    }
    return this.#domain;
  }
}

function check(result: number, tried: string): void {
  if (result < 0) throw failed(tried);
}
