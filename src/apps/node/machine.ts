/**
 * The machine under the pods: drivers put together in the order of a pod's life (cluster/local/pods/machine.ts).
 * Every verb may be called again after a crash, and `dismantle` finds what a killed daemon left by the pod's id.
 */
import { closeSync, existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { USER_NETWORK_ANNOTATION } from "../../api/annotations.ts";
import { queueCapacity } from "../../api/defaults.ts";
import type { Vmi } from "../../api/types.ts";
import { podFiles, readPlan } from "../../apply/wire-pod.ts";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { AttachedNetwork } from "../../cluster/local/cni/attach-networks.ts";
import { onHostsLinks } from "../../cluster/local/cni/network-attachment.ts";
import type { GuestState, PodIdentity, PodMachine } from "../../cluster/local/pods/machine.ts";
import { podResolver, renderResolvConf } from "../../cluster/local/pods/resolver.ts";
import type { Accelerator } from "../../domain/devices.ts";
import { showMacvtaps } from "../../linux/sandbox/macvtap-nodes.ts";
import { adoptSandbox, createSandbox, destroySandbox, spawnInSandbox } from "../../linux/sandbox/sandbox.ts";
import type { SandboxProcess } from "../../linux/sandbox/types.ts";
import type { NetworkAttachment } from "../../plan/binding.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { Plan } from "../../plan/plan.ts";
import type { PreparedDisks } from "../../vm/disks/prepare-disks.ts";
import type { LaunchSpec } from "../../vm/launch-spec.ts";
import type { LauncherClient } from "../../vm/launcher-client.ts";
import { withWays } from "../../vm/user-network/libvirt-ways.ts";
import type { Paths } from "../paths.ts";
import type { NodeConfig } from "./config.ts";
import type { DiskKeeper } from "./disk-keeper.ts";
import { noteGuestLinks, withGuestLinks } from "./guest-links.ts";
import { HOST_NETNS, type HostNetwork } from "./host-network.ts";
import { Launchers, launcherCommand } from "./launchers.ts";
import { podMemoryBytes } from "./memory.ts";
import type { NodeNet } from "./net.ts";
import type { WireRequest } from "./net-worker.ts";
import type { PodNetworks } from "./pod-networks.ts";
import {
  LAUNCHER_UID,
  makePodFolders,
  type PodFolders,
  podFolders,
  readRecord,
  removePodFolders,
  writeRecord,
} from "./sandbox-files.ts";

export interface MachineOptions {
  readonly paths: Paths;
  readonly config: NodeConfig;
  readonly net: NodeNet;
  readonly host: HostNetwork;
  readonly networks: PodNetworks;
  readonly disks: DiskKeeper;
  accelerator(): Promise<Accelerator>;
  /** What this libvirt takes is known, or cannot be. */
  libvirtAsked(): Promise<void>;
  warn(what: string, thrown: unknown): void;
}

/** A new address is checked for at most two seconds (RFC 4862, 5.4: a random delay, then one probe). */
const GATEWAYS_MS = 2_500;

export class Machine implements PodMachine {
  readonly #options: MachineOptions;
  #features: Promise<HostFeatures> | undefined;
  readonly #prepared = new Map<string, PreparedDisks>();
  readonly #launchers: Launchers;

  constructor(options: MachineOptions) {
    this.#options = options;
    const { paths, warn } = options;
    this.#launchers = new Launchers({
      paths,
      warn,
      alive: (pod) => {
        const stored = readRecord(podFolders(paths, pod.id));
        return stored !== undefined && adoptSandbox(stored.sandbox) !== undefined ? stored : undefined;
      },
      spawn: (pod) => this.#spawnLauncher(pod, this.storedPlan(pod)?.nics.length ?? 0),
    });
  }

  async startSandbox(pod: PodIdentity, vmi: Vmi): Promise<void> {
    const { host, net, paths } = this.#options;
    const folders = podFolders(paths, pod.id);
    makePodFolders(folders);
    await net.createNetns(folders.netns);
    const accelerator = await this.#options.accelerator();
    const sandbox = createSandbox({
      podId: pod.id,
      netnsPath: folders.netns,
      hostname: pod.hostname,
      resolvConf: renderResolvConf(podResolver(vmi.spec, host.resolver)),
      limits: { memoryBytes: podMemoryBytes(vmi, accelerator) },
      dirs: [folders.run, folders.disks],
      readOnlyDirs: [...programFolders(), paths.images, paths.libvirtCache],
      devices: accelerator.type === "kvm" ? ["net/tun", "kvm"] : ["net/tun"],
      uid: LAUNCHER_UID,
      gid: LAUNCHER_UID,
    });
    writeRecord(folders, { pod, sandbox });
    this.#launchers.spawned(pod, await this.#spawnLauncher(pod, nicCount(vmi)));
  }

  async attachNetworks(pod: PodIdentity, vmi: Vmi): Promise<readonly AttachedNetwork[]> {
    return await this.#options.networks.attach(pod, vmi);
  }

  async wire(pod: PodIdentity, vmi: Vmi): ReturnType<PodMachine["wire"]> {
    const begun = performance.now();
    const request = await this.wireRequest(pod, vmi);
    await this.#whenGatewaysAnswer(request);
    const result = await this.#options.net.call("wirePod", request);
    if (!result.ok) return result;
    const { plan, steps } = result.value;
    if (plan.nics.some(({ hostLink }) => hostLink !== undefined)) {
      const stateDir = podFolders(this.#options.paths, pod.id).state;
      await this.#options.net.call("linkHost", { netns: HOST_NETNS, stateDir, plan });
    }
    return { ...result, value: { plan, changes: steps.length, milliseconds: performance.now() - begun } };
  }

  /** Afterwards the pod cannot ask any more. One that stays silent is noted in the plan. */
  async #whenGatewaysAnswer(request: WireRequest): Promise<void> {
    const deadline = performance.now() + GATEWAYS_MS;
    while ((await this.#options.net.call("gatewaysToWaitFor", request)) > 0) {
      if (performance.now() > deadline) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Of this host's kernel, found out once; and of its libvirt, as soon as that was asked. */
  async features(): Promise<HostFeatures> {
    this.#features ??= this.#options.net.call("hostFeatures", {}).catch((thrown) => {
      this.#features = undefined;
      throw thrown;
    });
    return withWays(await this.#features, this.#options.paths.libvirtCache);
  }

  /** What phase 1 of this pod is given; also for looking at what it would change. */
  async wireRequest(pod: PodIdentity, vmi: Vmi): Promise<WireRequest> {
    const { config, host, paths } = this.#options;
    const folders = podFolders(paths, pod.id);
    if (vmi.metadata.annotations?.[USER_NETWORK_ANNOTATION] !== undefined) await this.#options.libvirtAsked();
    return {
      netns: folders.netns,
      stateDir: folders.state,
      input: {
        vmi,
        resolver: podResolver(vmi.spec, host.resolver),
        host: {
          runtimeUid: LAUNCHER_UID,
          features: await this.features(),
          inbound: config.inbound,
          notes: host.obstacles.map(({ message, hint }) => `${message}; allow it by: ${hint}`),
        },
        queues: queueCapacity(vmi.spec),
        attachments: await this.#attachments(pod, vmi),
      },
    };
  }

  async #attachments(pod: PodIdentity, vmi: Vmi): Promise<Readonly<Record<string, NetworkAttachment>>> {
    const attached = this.#options.networks.attachments(pod, vmi);
    // Not for the pod network alone, whose links podtap makes.
    if ((vmi.spec.networks ?? []).every(({ multus }) => multus === undefined)) return attached;
    const { links } = await this.#options.net.observe(HOST_NETNS, []);
    return Object.fromEntries(
      Object.entries(attached).map(([name, one]) => [name, onHostsLinks(one, links)]),
    );
  }

  async prepareDisks(
    pod: PodIdentity,
    vmi: Vmi,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const folders = podFolders(this.#options.paths, pod.id);
    makePodFolders(folders);
    this.#prepared.set(pod.id, await this.#options.disks.prepare(vmi, folders.disks, progress, signal));
  }

  async startGuest(pod: PodIdentity, vmi: Vmi, signal: AbortSignal): Promise<Accelerator> {
    const plan = this.storedPlan(pod);
    const prepared = this.#prepared.get(pod.id);
    if (plan === undefined || prepared === undefined) {
      throw new PodtapError({
        code: "PT-NODE-5",
        message: `pod ${pod.name} was started out of order`,
        blame: "podtap",
      });
    }
    const accelerator = await this.#options.accelerator();
    const spec: LaunchSpec = { vmi, plan, accelerator, ...prepared };
    await this.#launchers.whenUp(pod, signal);
    this.#showMacvtaps(pod, plan);
    await noteGuestLinks(this.#options.net, podFolders(this.#options.paths, pod.id), plan);
    await this.launcher(pod).start(spec, signal);
    this.#prepared.delete(pod.id);
    // The first look after phase 1 notes what the rules look like, so that later drift is known table by table.
    void this.wireRequest(pod, vmi)
      .then((request) => this.#options.net.call("previewPod", request))
      .catch((thrown) => this.#options.warn("noting the rules", thrown));
    return accelerator;
  }

  watchGuest(pod: PodIdentity, signal: AbortSignal): AsyncGenerator<GuestState> {
    const folders = podFolders(this.#options.paths, pod.id);
    const states = (until: AbortSignal) => this.#launchers.watch(pod, until);
    return withGuestLinks(states, this.#options.net, folders, signal);
  }

  async stopGuest(pod: PodIdentity, graceSeconds: number, signal: AbortSignal): Promise<void> {
    await this.#launchers.stop(pod, graceSeconds, signal);
  }

  async adopt(pod: PodIdentity, signal: AbortSignal): Promise<boolean> {
    return await this.#launchers.adopt(pod, signal);
  }

  storedPlan(pod: PodIdentity): ReturnType<PodMachine["storedPlan"]> {
    return readPlan(podFiles(podFolders(this.#options.paths, pod.id).state).plan);
  }

  async dismantle(pod: Pick<PodIdentity, "id">): Promise<void> {
    const { net, paths } = this.#options;
    const folders = podFolders(paths, pod.id);
    const failures: unknown[] = [];
    const attempt = async (run: () => unknown): Promise<void> => {
      try {
        await run();
      } catch (thrown) {
        failures.push(thrown);
      }
    };
    this.#prepared.delete(pod.id);
    this.#launchers.forget(pod);
    const record = readRecord(folders);
    // One after the other: whatever is in the pod's network is killed, which a plugin at work there would be too.
    await attempt(() => destroySandbox({ ...record?.sandbox, podId: pod.id, netnsPath: folders.netns }));
    await attempt(() => this.#unlinkHost(folders));
    await this.#unwire(folders);
    await attempt(() => this.#options.networks.detach(pod.id));
    await attempt(() => net.deleteNetns(folders.netns));
    // The state folder stays while anything is left that it is the trace of.
    if (failures.length === 0) await attempt(() => removePodFolders(folders));
    if (failures.length > 0) {
      throw new PodtapError({
        code: "PT-NODE-6",
        message: `taking down pod ${pod.id}: ${failures.map(messageOf).join("; ")}`,
        hint: "what is left is tried again; `podtap gc` does it at once",
        retry: "soon",
        cause: failures[0],
      });
    }
  }

  /** Unlike what is in the pod's namespace, this does not go with it. */
  async #unlinkHost({ state }: PodFolders): Promise<void> {
    if (!existsSync(podFiles(state).hostJournal)) return;
    const [failure] = await this.#options.net.call("unlinkHost", { netns: HOST_NETNS, stateDir: state });
    if (failure !== undefined) throw new Error(failure);
  }

  /**
   * A plugin looks for what it made, and host-device gives it back to the host: it is to be as the plugin left it.
   * What fails here goes with the namespace.
   */
  async #unwire({ netns, state }: PodFolders): Promise<void> {
    if (!existsSync(podFiles(state).journal) || !existsSync(netns)) return;
    try {
      const failures = await this.#options.net.call("unwirePod", { netns, stateDir: state });
      for (const failure of failures) this.#options.warn("unwiring", new Error(failure));
    } catch (thrown) {
      this.#options.warn("unwiring", thrown);
    }
  }

  /** Pods of which CNI remembers something. */
  attachedPods(): readonly string[] {
    return this.#options.networks.list();
  }

  launcher(pod: Pick<PodIdentity, "id">): LauncherClient {
    return this.#launchers.of(pod);
  }

  /** Taps are opened by name, macvtaps by a device node of their own. */
  #showMacvtaps(pod: PodIdentity, { nics }: Plan): void {
    const links = nics.flatMap((nic) => nic.links).filter(({ type }) => type === "macvtap");
    const sandbox = readRecord(podFolders(this.#options.paths, pod.id))?.sandbox;
    if (links.length === 0 || sandbox === undefined) return;
    showMacvtaps(
      sandbox,
      links.map(({ name }) => name),
      LAUNCHER_UID,
    );
  }

  async #spawnLauncher(pod: PodIdentity, nics: number): Promise<SandboxProcess> {
    const { net, paths } = this.#options;
    const folders = podFolders(paths, pod.id);
    const stored = readRecord(folders);
    if (stored === undefined) {
      throw new PodtapError({
        code: "PT-NODE-7",
        message: `the record of pod ${pod.name} is gone`,
        blame: "host",
      });
    }
    rmSync(folders.launcherSocket, { force: true });
    const fds: number[] = [];
    try {
      for (let i = 0; i < nics; i++) fds.push(await net.openPacketSocket(folders.netns));
      const launcher = spawnInSandbox(stored.sandbox, {
        argv: launcherCommand(folders.run, paths.libvirtCache),
        env: { HOME: folders.run, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        uid: LAUNCHER_UID,
        gid: LAUNCHER_UID,
        fds,
        logFile: folders.launcherLog,
      });
      writeRecord(folders, { ...stored, launcher: { pid: launcher.pid, startTime: launcher.startTime } });
      return launcher;
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  }
}

/** Node, podtap's programs and the one native module they load. */
function programFolders(): readonly string[] {
  const dist = dirname(fileURLToPath(import.meta.url));
  const modules = join(dist, "..", "node_modules");
  return [dist, join(modules, "koffi"), join(modules, "@koromix"), dirname(process.execPath)];
}

function nicCount(vmi: Vmi): number {
  return vmi.spec.domain.devices.interfaces?.length ?? 0;
}
