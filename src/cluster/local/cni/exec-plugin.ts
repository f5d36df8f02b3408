/**
 * Runs one CNI plugin: the request in its environment and on stdin, the answer on stdout (CNI spec, section 4).
 * No shell; the program is looked up in a list of folders by a name that cannot be a path.
 */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { PodtapError } from "../../../base/errors.ts";
import { TIED_TO_PARENT } from "../../../base/tied.ts";
import { isCniName } from "./conflist.ts";
import { type PluginFailure, pluginError } from "./plugin-error.ts";

export type CniCommand = "ADD" | "DEL" | "CHECK" | "VERSION";

export interface PluginCall {
  readonly plugin: string;
  readonly command: CniCommand;
  readonly containerId: string;
  /** Empty when the namespace is gone. */
  readonly netns: string;
  readonly ifName: string;
  /** `K=V;K=V` */
  readonly args: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface PluginHost {
  /** Folders with plugins, in order. */
  readonly pluginDirs: readonly string[];
  /** A plugin that takes longer is killed. */
  readonly timeoutMs: number;
}

export const DEFAULT_PLUGIN_DIRS = ["/usr/lib/cni", "/opt/cni/bin"] as const;
/** ptp and host-device wait for carrier and address checks: 10 s without carrier. */
export const DEFAULT_TIMEOUT_MS = 60_000;
export const TIMED_OUT = "PT-CNI-4";
const OUTPUT_LIMIT = 1024 * 1024;

/** The parsed answer; undefined when there was none, which DEL and CHECK do not give. */
export async function execPlugin(host: PluginHost, call: PluginCall): Promise<unknown> {
  const run = await runPlugin(host, call);
  const answer = parseAnswer(run.stdout);
  if (run.status === 0 && (answer !== undefined || run.stdout.trim() === "")) return answer;
  const failure: PluginFailure = {
    plugin: call.plugin,
    command: call.command,
    network: String(call.config["name"] ?? ""),
    ifName: call.ifName,
    said: errorIn(answer, run),
  };
  const wrongVersion = failure.said.code === 1 && call.command !== "VERSION";
  throw pluginError(
    wrongVersion ? { ...failure, versions: await pluginVersions(host, call.plugin) } : failure,
  );
}

export async function pluginVersions(host: PluginHost, plugin: string): Promise<readonly string[]> {
  const call = { plugin, command: "VERSION", containerId: "", netns: "", ifName: "", args: "" } as const;
  const answer = await execPlugin(host, { ...call, config: { cniVersion: "1.0.0" } });
  const versions = (answer as { supportedVersions?: unknown } | undefined)?.supportedVersions;
  return Array.isArray(versions) ? versions.map(String) : [];
}

interface Ran {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runPlugin(host: PluginHost, call: PluginCall): Promise<Ran> {
  const program = findPlugin(host, call.plugin);
  return new Promise((resolve, reject) => {
    const [setpriv, ...tied] = TIED_TO_PARENT;
    const child = spawn(setpriv, [...tied, program], {
      cwd: "/",
      env: environment(host, call),
      stdio: ["pipe", "pipe", "pipe"],
      timeout: host.timeoutMs,
      killSignal: "SIGKILL",
    });
    const read = (stream: NodeJS.ReadableStream) => {
      let text = "";
      stream.setEncoding("utf8").on("data", (part) => {
        text = (text + part).slice(0, OUTPUT_LIMIT);
      });
      return () => text;
    };
    const stdout = read(child.stdout);
    const stderr = read(child.stderr);
    child.once("error", (error) => reject(cannotRun(program, error)));
    child.once("close", (status, signal) => {
      if (signal === "SIGKILL") reject(tookTooLong(host, call));
      else resolve({ status, signal, stdout: stdout(), stderr: stderr() });
    });
    // A plugin that fails early does not read: its answer tells more than EPIPE.
    child.stdin.on("error", () => undefined).end(JSON.stringify(call.config));
  });
}

function environment(host: PluginHost, call: PluginCall): Record<string, string> {
  return {
    // For what plugins run themselves: iptables, nft, sysctl.
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args,
    CNI_PATH: host.pluginDirs.join(":"),
  };
}

function findPlugin(host: PluginHost, plugin: string): string {
  const found = isCniName(plugin) && host.pluginDirs.map((dir) => join(dir, plugin)).find(isProgram);
  if (found) return found;
  throw new PodtapError({
    code: "PT-CNI-2",
    message: `there is no CNI plugin ${JSON.stringify(plugin)} in ${host.pluginDirs.join(", ")}`,
    hint: OF_CLUSTERS.test(plugin)
      ? `${plugin} is the network of a cluster; on one machine the NetworkAttachmentDefinition takes "type": "bridge"`
      : "install containernetworking-plugins, or name the folder of your plugins in CNI_PATH",
    retry: "on-change",
  });
}

/** Plugins that a controller of a cluster stands behind: alone they would do nothing here. */
const OF_CLUSTERS = /^(?:ovn-k8s-cni-overlay|kube-ovn|ovs|calico|cilium-cni)$/;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function parseAnswer(stdout: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}

function errorIn(answer: unknown, run: Ran): PluginFailure["said"] {
  const { code, msg, details } = (answer ?? {}) as { code?: unknown; msg?: unknown; details?: unknown };
  if (typeof msg === "string" && typeof code === "number") {
    return { code, msg, ...(typeof details === "string" && { details }) };
  }
  const end = run.status === null ? `ended by ${run.signal}` : `exit status ${run.status}`;
  const words = (run.stderr.trim() || run.stdout.trim()).slice(0, 500);
  return { code: 999, msg: `no CNI answer, ${end}`, ...(words !== "" && { details: words }) };
}

function tookTooLong(host: PluginHost, { plugin, command, ifName }: PluginCall): PodtapError {
  return new PodtapError({
    code: TIMED_OUT,
    message: `CNI plugin ${plugin} was stopped: ${command} of ${ifName} took longer than ${host.timeoutMs / 1000} s`,
    hint: "plugins wait for carrier, for leases or for a controller; the plugin's own log tells",
    retry: "soon",
  });
}

function cannotRun(program: string, cause: Error): PodtapError {
  return new PodtapError({
    code: "PT-CNI-5",
    message: `cannot run ${program}: ${cause.message}`,
    hint: "is it a program for this machine?",
    retry: "on-change",
    cause,
  });
}
