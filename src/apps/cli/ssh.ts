/**
 * `podtap ssh`: this machine's own ssh, with podtap as its ProxyCommand.
 *
 * The host is called `vmi.<name>.<namespace>`, as virtctl calls it, for people's ssh_config. Host keys are kept in a
 * file of podtap's own, one a VMI uid: every new guest has new keys, and with one shared file a rebuilt VM would look
 * like an attack, so that people learn to switch the check off. A key that changes while the VM lives is refused.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Vmi } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import { VMIS } from "../../cluster/port.ts";
import { connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { type ExitCode, usageError } from "./failure.ts";
import { cloudInitUser } from "./ssh-login.ts";
import { isUserName, parseLogin } from "./target.ts";

export interface SshOptions {
  readonly namespace: string;
  readonly port: number;
  readonly username?: string;
  readonly identityFile?: string;
  readonly localSshOpts?: readonly string[];
}

export async function ssh(
  context: Context,
  target: string,
  command: readonly string[],
  options: SshOptions,
): Promise<ExitCode> {
  const login = parseLogin(target);
  if (options.username !== undefined && !isUserName(options.username)) {
    throw usageError(`'${options.username}' is not a user name`);
  }
  const program = findProgram("ssh", context.environment["PATH"] ?? "");
  const client = connect(context);
  const vmi = await client.find<Vmi>(VMIS, { namespace: options.namespace, name: login.name });
  if (vmi === undefined) throw notRunning(login.name, options.namespace);
  const user = login.user ?? options.username ?? cloudInitUser(vmi.spec.volumes ?? []) ?? "root";
  const words = sshArguments({
    user,
    name: login.name,
    namespace: options.namespace,
    port: options.port,
    podtap: [
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      cliProgram(),
      ...(context.rootless ? ["--rootless"] : []),
    ],
    knownHosts: knownHostsFile(context, vmi.metadata.uid ?? login.name),
    ...(options.identityFile !== undefined && { identityFile: options.identityFile }),
    more: options.localSshOpts ?? [],
    command,
  });
  return runSsh(program, words);
}

export interface SshPlan {
  readonly user: string;
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
  /** This program, as words. */
  readonly podtap: readonly string[];
  readonly knownHosts: string;
  readonly identityFile?: string;
  readonly more: readonly string[];
  readonly command: readonly string[];
}

export function sshArguments(plan: SshPlan): readonly string[] {
  const alias = `vmi.${plan.name}.${plan.namespace}`;
  const proxy = [
    ...plan.podtap,
    "port-forward",
    "--stdio",
    "-n",
    plan.namespace,
    plan.name,
    String(plan.port),
  ];
  return [
    `-oProxyCommand=${proxy.map(proxyWord).join(" ")}`,
    // The first key is taken, since podtap's own socket leads to the guest; a changed one is refused.
    "-oStrictHostKeyChecking=accept-new",
    `-oUserKnownHostsFile="${plan.knownHosts}"`,
    "-oGlobalKnownHostsFile=/dev/null",
    `-oHostKeyAlias=${alias}`,
    ...(plan.identityFile === undefined ? [] : ["-i", plan.identityFile]),
    ...plan.more,
    "-l",
    plan.user,
    "-p",
    String(plan.port),
    "--",
    alias,
    ...plan.command,
  ];
}

/** ssh gives the ProxyCommand to a shell, and reads % itself. Names were checked; paths are whatever they are. */
function proxyWord(word: string): string {
  const plain = /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
  return plain.replaceAll("%", "%%");
}

function knownHostsFile({ environment }: Context, uid: string): string {
  const state = environment["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state");
  const folder = join(state, "podtap", "known-hosts");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, uid.replaceAll(/[^A-Za-z0-9-]/g, "_"));
}

function cliProgram(): string {
  const here = fileURLToPath(import.meta.url);
  return join(dirname(here), here.endsWith(".ts") ? "main.ts" : "cli.js");
}

function findProgram(name: string, path: string): string {
  const found = path
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => file.startsWith("/") && existsSync(file));
  if (found !== undefined) return found;
  throw new PodtapError({
    code: "PT-ENV-8",
    message: `${name} is not installed on this machine`,
    hint: "apt install openssh-client; 'podtap console' works without it",
  });
}

function notRunning(name: string, namespace: string): PodtapError {
  return new PodtapError({
    code: "PT-API-404",
    message: `no VM called ${name} runs in namespace ${namespace}`,
    hint: "podtap get lists those that do",
  });
}

function runSsh(program: string, words: readonly string[]): Promise<ExitCode> {
  // Ctrl-C belongs to the guest; ssh hears of it from the terminal.
  process.removeAllListeners("SIGINT").on("SIGINT", () => undefined);
  const child = spawn(program, words, { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    // ssh's own status is the remote command's, and 255 for its own failures.
    child.once("exit", (code) => resolve((code ?? 255) as ExitCode));
  });
}
