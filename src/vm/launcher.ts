/**
 * The unprivileged process of one VM: domain, console, guest services, guest agent.
 *
 * Theory of operation. libvirtd is started before anybody asks for a domain, so that the network is wired meanwhile.
 * A start is: define, create with the CPUs stopped, open the console, begin to answer the guest's DHCP, and only
 * then let it run; so neither its first output nor its first packet is lost. Everything that a later launcher
 * needs is on disk before the step it describes: one that finds QEMU running adopts it.
 *
 * Three sources say how QEMU is: libvirt's events, the end of the console's connection, and the pid. libvirt takes
 * 200 ms to see the end of a QEMU (`virProcessKillPainfully` sleeps that long between two looks), the console none;
 * so an expected end is taken from the console and an unexpected one from libvirt, which knows the cause.
 */
import { messageOf, PodtapError } from "../base/errors.ts";
import { type DomainModel, domainName, planDomain } from "../domain/domain.ts";
import { toXml } from "../domain/xml.ts";
import type { GuestService } from "../guest/config.ts";
import { Console } from "./console.ts";
import { type AgentPoller, pollAgent } from "./guest-agent.ts";
import type { GuestLease, LauncherStatus, LaunchSpec } from "./launch-spec.ts";
import { keepStarted, keepStarting, type LauncherFiles, readKeptLaunch } from "./launcher-files.ts";
import { LauncherState } from "./launcher-state.ts";
import type { DomainEvent, Libvirt, StopDetail } from "./libvirt.ts";
import { LibvirtSession } from "./libvirt-session.ts";
import { type Libvirtd, readPid } from "./libvirtd.ts";
import { lastLines } from "./log-tail.ts";
import { askToPowerOff } from "./power-off.ts";
import { LibvirtBackends, onLibvirtBackend } from "./user-network/libvirt-backends.ts";
import { UserNetworks } from "./user-network/user-networks.ts";

/** Responders at the guest's door. Listening when `serve` returns. */
export interface GuestServer {
  serve(services: readonly GuestService[], leased: (lease: GuestLease) => void): void;
  close(): void;
}

export interface LauncherOptions {
  readonly files: LauncherFiles;
  readonly guestServer: GuestServer;
  /** Started before anything else was loaded. */
  readonly libvirtd: Promise<Libvirtd>;
  /** Runs the process of user networks, but for its last argument (user-network/user-networks.ts). */
  readonly userNetworkCommand: readonly [string, ...string[]];
  readonly log: (message: string) => void;
}

const ACTIVE = new Set(["starting", "running", "paused"]);
const FORCE_AFTER_MS = 3_000;
/** libvirt has seen the end of a QEMU by then. */
const VERDICT_MS = 2_000;

export class Launcher {
  readonly state = new LauncherState();
  readonly #options: LauncherOptions;
  readonly #console: Console;
  readonly #session: LibvirtSession;
  readonly #agent: AgentPoller;
  readonly #userNetworks: UserNetworks;
  readonly #backends = new LibvirtBackends();
  #spec: LaunchSpec | undefined;
  #launching: Promise<void> | undefined;
  /** Why the end of QEMU is no surprise. */
  #expectedEnd: string | undefined;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#console = new Console(options.files.console);
    this.#agent = pollAgent(
      (command, timeout) => this.agentCommand(command, timeout),
      (facts) => this.state.update({ agent: { connected: true, ...facts } }),
    );
    this.#userNetworks = new UserNetworks({
      files: options.files.userNetwork,
      sockets: options.files.nicSockets,
      command: options.userNetworkCommand,
      changed: (networks) => this.state.update({ networks }),
      log: options.log,
    });
    this.#session = new LibvirtSession(options.files.libvirt, options.libvirtd, {
      lifecycle: (event, stop) => this.#onLifecycle(event, stop),
      agent: (connected) => this.#onAgent(connected),
      backend: (nic, connected) => this.#onBackend(nic, connected),
      up: (pid) => this.state.update({ libvirtdPid: pid }),
      reconnected: () => void this.#resync(),
      trouble: options.log,
    });
  }

  /** Takes console clients from now on; goes on with a domain that an earlier launcher left. */
  async open(): Promise<void> {
    await this.#console.listen();
    const kept = readKeptLaunch(this.#options.files);
    if (kept === undefined) return;
    this.#options.log("going on with the domain of an earlier launcher");
    this.#launching = this.#run(kept.spec, kept.started);
    this.#launching.catch((problem) => this.#options.log(messageOf(problem)));
  }

  /** Returns when the guest's CPUs run. Asked again it waits for the same start, or tries anew after a failure. */
  async launch(spec: LaunchSpec): Promise<LauncherStatus> {
    if (this.state.status.phase === "failed") this.#launching = undefined;
    this.#launching ??= this.#run(spec, false);
    await this.#launching;
    return this.state.status;
  }

  /** What the manifest allows the guest for powering off; KubeVirt's default is 30. */
  get graceSeconds(): number {
    return this.#spec?.vmi.spec.terminationGracePeriodSeconds ?? 30;
  }

  async xml(): Promise<string> {
    return (await this.#session.connection).xml();
  }

  async agentCommand(command: object, timeoutSeconds: number): Promise<unknown> {
    return (await this.#session.connection).agentCommand(command, timeoutSeconds);
  }

  /** Asks the guest to power off; after the grace QEMU is ended. Returns when it is gone. */
  async shutdown(graceSeconds: number): Promise<void> {
    await this.#launching?.catch(() => undefined);
    if (!ACTIVE.has(this.state.status.phase)) return;
    const off = this.#off();
    if (graceSeconds > 0) {
      const connection = await this.#session.connection;
      this.#expectedEnd = "the guest powered off, as it was asked to";
      const connected = this.state.status.agent.connected;
      if (await askToPowerOff(connection, { connected, graceSeconds, off, log: this.#options.log })) return;
      this.#expectedEnd = `the guest did not power off within ${graceSeconds} s and was destroyed`;
    } else {
      this.#expectedEnd = "destroyed without grace";
    }
    await this.#destroy(off);
  }

  /** Ends what is of this process; QEMU and libvirtd are ended only with `shutdown` before. */
  async close(): Promise<void> {
    this.#agent.stop();
    this.#console.close();
    this.#options.guestServer.close();
    this.#userNetworks.release();
    await this.#session.close();
  }

  async #run(spec: LaunchSpec, started: boolean): Promise<void> {
    this.#spec = spec;
    this.#expectedEnd = undefined;
    this.state.enter("starting");
    try {
      await this.#bringUp(spec, started);
    } catch (problem) {
      const reason = `${messageOf(problem)}${this.#qemuSaid()}`;
      // What did come up is of no use, and would be in the way of another try.
      if (!started) await this.#discard();
      this.#options.guestServer.close();
      this.#userNetworks.stop();
      this.state.qemuGone();
      this.state.enter("failed", reason);
      throw problem;
    }
  }

  async #bringUp(spec: LaunchSpec, started: boolean): Promise<void> {
    const { files, guestServer } = this.#options;
    // Before the domain: what is wrong with the manifest is told without libvirt.
    const xml = toXml(this.#domainOf(spec));
    const services = spec.plan.nics.flatMap((nic) => nic.services);
    guestServer.serve(services, (lease) => this.#onLease(lease));
    const connection = await this.#session.connection;
    const found = await this.#find(connection);
    if (found === "off" && started) return this.#ended(undefined);
    this.#userNetworks.start(spec.plan.nics);
    await this.#watchBackends(connection);
    if (found === "off") {
      keepStarting(files, spec);
      await connection.define(xml);
      await connection.createPaused();
    }
    const pid = readPid(files.libvirt.qemuPidFile(domainName(spec.vmi)));
    if (pid !== undefined) this.state.update({ qemuPid: pid });
    await this.#console.attach(() => this.#onQemuClosed());
    if (!started) {
      await this.#userNetworks.whenUp();
      if (found !== "running") await connection.resume();
      keepStarted(files);
    }
    this.state.enter(found === "paused" && started ? "paused" : "running");
    // A domain that was there before has told its agent's connection to somebody else.
    if (found !== "off") this.#onAgent(await agentIsConnected(connection));
  }

  async #watchBackends(connection: Libvirt): Promise<void> {
    if (onLibvirtBackend(this.#nics)) await connection.watchBackends();
  }

  get #nics(): LaunchSpec["plan"]["nics"] {
    return this.#spec?.plan.nics ?? [];
  }

  #onBackend(alias: string, connected: boolean): void {
    const networks = this.#backends.told(this.#nics, alias, connected);
    if (networks === undefined) return;
    this.state.update({ networks });
    if (connected) void this.#introduce(alias);
  }

  /**
   * A program that libvirt started again knows the guest by what it sends: a guest that only answers would wait for
   * ever. (Over vhost-user QEMU does so itself.)
   */
  async #introduce(nic: string): Promise<void> {
    try {
      await (await this.#session.connection).announce(nic);
      this.#options.log(`the guest was introduced to the other side of ${nic}`);
    } catch (problem) {
      this.#options.log(`the other side of ${nic} may not know the guest: ${messageOf(problem)}`);
    }
  }

  #domainOf(spec: LaunchSpec): DomainModel {
    const { files } = this.#options;
    return planDomain({
      vmi: spec.vmi,
      nics: spec.plan.nics.map((nic) => nic.domain),
      disks: spec.disks,
      ...(spec.kernel === undefined ? {} : { kernel: spec.kernel }),
      accelerator: spec.accelerator,
      consoleSocket: files.console.serialSocket,
      agentSocket: files.agentSocket,
      nicSocketFolder: files.nicSockets,
    });
  }

  async #discard(): Promise<void> {
    try {
      const connection = await this.#session.connection;
      if ((await this.#find(connection)) !== "off") await connection.destroy(true);
    } catch (problem) {
      this.#options.log(`the failed start could not be cleared away: ${messageOf(problem)}`);
    }
  }

  async #find(connection: Libvirt): Promise<"off" | "running" | "paused"> {
    const { vmi } = this.#spec ?? unreachable();
    if (!(await connection.lookup(domainName(vmi)))) return "off";
    const state = await connection.state();
    if (state === "off" || state === "crashed") return "off";
    return state === "paused" ? "paused" : "running";
  }

  /** After a new libvirtd: what happened meanwhile is read, not guessed. */
  async #resync(): Promise<void> {
    const before = this.state.status.phase;
    if (!ACTIVE.has(before) || before === "starting") return;
    try {
      const connection = await this.#session.connection;
      const found = await this.#find(connection);
      if (found === "off") return this.#ended(undefined);
      await this.#watchBackends(connection);
      this.state.enter(found);
      this.#onAgent(await agentIsConnected(connection));
    } catch (problem) {
      this.#options.log(`the domain could not be looked at: ${messageOf(problem)}`);
    }
  }

  #onLifecycle(event: DomainEvent, stop: StopDetail | undefined): void {
    const { phase } = this.state.status;
    if (event === "shutdown") this.#expectedEnd ??= "the guest powered off";
    else if (event === "suspended" && phase === "running") this.state.enter("paused");
    else if (event === "resumed" && phase === "paused") this.state.enter("running");
    else if (event === "stopped" && phase !== "starting") this.#ended(stop);
  }

  #onAgent(connected: boolean): void {
    this.state.agentConnected(connected);
    if (connected) this.#agent.connected();
    else this.#agent.disconnected();
  }

  #onLease(lease: GuestLease): void {
    this.state.leased(lease);
    this.#agent.nudge();
  }

  #onQemuClosed(): void {
    if (this.#expectedEnd !== undefined) {
      this.#ended("destroyed");
      return;
    }
    // libvirt is about to tell why. If it does not, only the connection broke.
    setTimeout(() => {
      if (!ACTIVE.has(this.state.status.phase)) return;
      this.#console
        .attach(() => this.#onQemuClosed())
        .catch((problem) => this.#options.log(messageOf(problem)));
    }, VERDICT_MS).unref();
  }

  #ended(stop: StopDetail | undefined): void {
    if (!ACTIVE.has(this.state.status.phase)) return;
    this.#agent.disconnected();
    this.#options.guestServer.close();
    this.#userNetworks.stop();
    this.state.qemuGone();
    if (this.#expectedEnd !== undefined) this.state.enter("shutdown", this.#expectedEnd);
    else if (stop === "shutdown") this.state.enter("shutdown", "the guest powered off");
    else if (stop === "destroyed") this.state.enter("shutdown", "destroyed from outside podtap");
    else this.state.enter("crashed", `QEMU ended unexpectedly${this.#qemuSaid()}`);
  }

  #qemuSaid(): string {
    if (this.#spec === undefined) return "";
    const lines = lastLines(this.#options.files.libvirt.qemuLog(domainName(this.#spec.vmi)), 2);
    return lines === "" ? "" : `; its log ends with: ${lines}`;
  }

  /** Resolves when the domain is no longer active. */
  #off(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.state.watch(({ phase }) => {
        if (ACTIVE.has(phase)) return;
        setImmediate(() => stop());
        resolve();
      });
    });
  }

  /** QEMU writes its disks' state on SIGTERM and is gone in milliseconds; libvirt's own way takes 200 ms. */
  async #destroy(off: Promise<void>): Promise<void> {
    const pid = this.state.status.qemuPid;
    if (pid !== undefined) {
      try {
        process.kill(pid, "SIGTERM");
      } catch {
        // Gone already; libvirt is about to say so.
      }
    }
    const forced = setTimeout(() => {
      this.#session.connection
        .then((connection) => connection.destroy(true))
        .catch((problem) => this.#options.log(messageOf(problem)));
    }, FORCE_AFTER_MS);
    await off;
    clearTimeout(forced);
  }
}

/** The agent's event is only told at a change; the live XML always says. */
async function agentIsConnected(connection: Libvirt): Promise<boolean> {
  return /<target type='virtio' name='org\.qemu\.guest_agent\.0' state='connected'\/>/.test(
    await connection.xml(),
  );
}

function unreachable(): never {
  throw new PodtapError({ code: "PT-LAUNCHER-5", message: "no domain was asked for yet", blame: "podtap" });
}
