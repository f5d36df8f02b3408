/** Puts the daemon together: store, API, controllers, machine; and takes it apart again. */
import { randomInt, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { effectiveVmiSpec } from "../../api/defaults.ts";
import { fieldTable } from "../../api/field-table.ts";
import type { Pod, Service, Vmi } from "../../api/types.ts";
import { registry } from "../../bindings/index.ts";
import { type ControllerEnvironment, runController } from "../../cluster/controllers/controller.ts";
import { vmController } from "../../cluster/controllers/vm-controller.ts";
import { vmiController } from "../../cluster/controllers/vmi-controller.ts";
import { serveApi } from "../../cluster/local/api-server.ts";
import { LocalCluster } from "../../cluster/local/local-cluster.ts";
import { podRunner } from "../../cluster/local/pods/pod-runner.ts";
import { Store } from "../../cluster/local/store.ts";
import { PODS, SERVICES, VIRTUAL_MACHINES, VMIS } from "../../cluster/port.ts";
import type { Accelerator } from "../../domain/devices.ts";
import { peerCredentials } from "../../linux/tcp-socket.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { Paths } from "../paths.ts";
import { VERSION } from "../version.ts";
import { chooseAccelerator } from "./accelerator.ts";
import { validation } from "./admission.ts";
import type { NodeConfig } from "./config.ts";
import { diskKeeper } from "./disk-keeper.ts";
import type { Ground } from "./ground.ts";
import { findLeftovers } from "./leftovers.ts";
import { errorFields, type Log } from "./log.ts";
import { podMemoryBytes } from "./memory.ts";
import { openRootGround } from "./root-ground.ts";
import { openRootlessGround } from "./rootless-ground.ts";
import { nodeRoutes } from "./routes.ts";
import { LAUNCHER_UID } from "./sandbox-files.ts";
import { settingsFrom } from "./settings.ts";
import { trimWhenIdle } from "./trim-when-idle.ts";

export interface DaemonOptions {
  readonly paths: Paths;
  readonly config: NodeConfig;
  readonly log: Log;
  /** As an ordinary user, without pods. */
  readonly rootless: boolean;
  /** End when there has been no pod for a while. */
  readonly idleExit: boolean;
}

export interface Daemon {
  readonly ended: Promise<void>;
  stop(why: string): Promise<void>;
}

/** Long enough for somebody to think between two commands. */
const IDLE_MS = 120_000;
const IDLE_CHECK_MS = 10_000;
/** Kubernetes' alphabet for generated names: no vowels, nothing that is mistaken for another. */
const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

const timers: ControllerEnvironment["timers"] = {
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export async function startDaemon({
  paths,
  config,
  log,
  rootless,
  idleExit,
}: DaemonOptions): Promise<Daemon> {
  mkdirSync(paths.run, { recursive: true, mode: 0o755 });
  mkdirSync(paths.netns, { recursive: true, mode: 0o755 });
  // Searchable, so that a launcher reaches its own disks; what lies in it has modes of its own.
  mkdirSync(paths.state, { recursive: true, mode: 0o711 });
  for (const folder of [paths.images, paths.libvirtCache])
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  const settings = settingsFrom(config);
  const clock = { now: () => Date.now() };
  const store = new Store({ path: paths.store });
  const known = [...store.all()].some(({ object }) => object.kind === "Pod");
  const openGround = rootless ? openRootlessGround : openRootGround;
  const first = await openGround({ paths, config, known });
  const cluster: LocalCluster = new LocalCluster({
    store,
    clock,
    ids: { uid: randomUUID, suffix },
    admission: [validation(settings), ...first.admission(() => takenAddresses(cluster))],
  });
  const accelerator = memoised(() => chooseAccelerator(config, paths));
  const abort = new AbortController();
  const overrides = imageOverrides(paths, config);
  const ground = first.with({
    cluster,
    accelerator,
    disks: diskKeeper({
      cluster,
      paths,
      overrides: overrides.read,
      ...(!rootless && { owner: LAUNCHER_UID }),
    }),
    warn: (what, thrown) => log.warn(errorFields(thrown), what),
  });
  const { machine } = ground;
  const effective = (vmi: Vmi): Vmi => ({ ...vmi, spec: effectiveVmiSpec(vmi.spec, settings) });
  const environment: ControllerEnvironment = {
    cluster,
    timers,
    now: () => new Date(clock.now()).toISOString().replace(/\.\d{3}Z$/, "Z"),
    warn: (controller, key, thrown) =>
      log.warn({ controller, key, ...errorFields(thrown) }, "reconciling failed"),
  };
  const clean = async (dryRun: boolean): Promise<object> => {
    const leftovers = await findLeftovers(cluster, machine, paths);
    if (dryRun) return { removed: leftovers };
    for (const { name } of leftovers) await machine.dismantle({ id: name });
    // A daemon that was killed after its last pod still owes the host this.
    if ((await cluster.list(PODS)).length === 0) await ground.release();
    return { removed: leftovers };
  };
  await clean(false).catch((thrown) => log.error(errorFields(thrown), "leftovers of an earlier daemon"));

  const pods = podRunner(environment, { machine, registry, nodeName: hostname(), effective });
  const controllers = [
    vmController(environment),
    vmiController(environment, { memoryOf: (vmi) => memoryMiB(effective(vmi), accelerator.now()) }),
    pods,
    ...ground.controllers(environment),
  ];
  const running = controllers.map((controller) => runController(controller, environment, abort.signal));
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();

  const api = await serveApi({
    cluster,
    socketPath: paths.socket,
    clock,
    version: VERSION,
    peerCredentials,
    access: { uids: config.allowedUids, gids: config.allowedGids },
    fields: fieldTable(settings.known),
    routes: nodeRoutes({
      cluster,
      ground,
      paths,
      effective,
      info: async () => info(config, ground, await accelerator(), await machine.features()),
      gc: clean,
      shutdown: async ({ ifIdle, ifStartedByCommand }) => {
        if ((ifIdle || ifStartedByCommand) && !idleExit) return false;
        if (ifIdle && !(await isIdle(cluster))) return false;
        // The answer first.
        setTimeout(() => void stop("asked to"), 20);
        return true;
      },
      setImageOverrides: overrides.add,
    }),
    onError: (thrown, request) => log.error({ request, ...errorFields(thrown) }, "request failed"),
  });
  log.info({ socket: paths.socket, version: VERSION, network: ground.network }, "ready");
  // Ahead of the first VM; what fails here fails there again, and is told there.
  void Promise.allSettled([accelerator(), machine.features(), ground.warmUp()]);

  let stopping = false;
  const stop = async (why: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, "stopping; guests run on");
    clearInterval(idling);
    endTrimming();
    abort.abort();
    await api.close();
    await Promise.allSettled([...running, pods.letGo()]);
    if (await isIdle(cluster))
      await ground.release().catch((thrown) => log.warn(errorFields(thrown), "host network"));
    await ground.close();
    store.close();
    end();
  };
  const endTrimming = trimWhenIdle();
  let idleSince = clock.now();
  const idling = setInterval(async () => {
    if (!(await isIdle(cluster))) idleSince = clock.now();
    else if (idleExit && clock.now() - idleSince > IDLE_MS) await stop("idle");
  }, IDLE_CHECK_MS);
  idling.unref();
  return { ended, stop };
}

async function isIdle(cluster: LocalCluster): Promise<boolean> {
  const [pods, vmis, vms] = await Promise.all([
    cluster.list<Pod>(PODS),
    cluster.list(VMIS),
    cluster.list(VIRTUAL_MACHINES),
  ]);
  return pods.length + vmis.length === 0 && vms.every((vm) => vm.metadata.deletionTimestamp === undefined);
}

function info(config: NodeConfig, ground: Ground, accelerator: Accelerator, features: HostFeatures): object {
  return {
    version: VERSION,
    pid: process.pid,
    node: process.version,
    accelerator,
    features,
    network: ground.network,
    config,
  };
}

function takenAddresses(cluster: LocalCluster): ReadonlySet<string> {
  const services = cluster.objects.list(SERVICES).map(({ object }) => object as Service);
  return new Set(services.flatMap(({ spec }) => spec.clusterIPs ?? []));
}

function memoryMiB(vmi: Vmi, accelerator: Accelerator | undefined): number {
  return Math.ceil(podMemoryBytes(vmi, accelerator ?? { type: "tcg", reason: "" }) / 1024 / 1024);
}

function suffix(): string {
  return Array.from({ length: 5 }, () => SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)]).join("");
}

interface Memoised<T> {
  (): Promise<T>;
  /** What is known without waiting. */
  now(): T | undefined;
}

function memoised<T>(make: () => Promise<T>): Memoised<T> {
  let promise: Promise<T> | undefined;
  let value: T | undefined;
  const get = async (): Promise<T> => {
    promise ??= make();
    value = await promise;
    return value;
  };
  return Object.assign(get, { now: () => value });
}

/** Of the configuration and what the CLI added; these survive the daemon. */
function imageOverrides(
  paths: Paths,
  config: NodeConfig,
): { read(): Readonly<Record<string, string>>; add(more: Readonly<Record<string, string>>): void } {
  const file = join(paths.state, "image-overrides.json");
  const stored = (): Record<string, string> => {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
    } catch {
      return {};
    }
  };
  return {
    read: () => ({ ...config.imageOverrides, ...stored() }),
    add: (more) => {
      writeFileSync(`${file}.new`, JSON.stringify({ ...stored(), ...more }));
      renameSync(`${file}.new`, file);
    },
  };
}
