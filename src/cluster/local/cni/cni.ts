/**
 * The runtime's side of CNI: attaches pods to networks through plugins and detaches them again.
 *
 * Theory of operation. Before the first plugin runs, the request is written down (`<cache>/<pod>/<n>-<ifName>.json`),
 * and the result is added when ADD is done. So whatever a killed daemon left can be given back to the plugins with
 * exactly the configuration it was made with, even if the administrator has changed the file since, and when the
 * namespace is gone (plugins then get an empty CNI_NETNS and release addresses). DEL runs backwards through the
 * list, does not stop at a plugin that fails, and the note is removed only when all succeeded.
 * A failed ADD is followed by DEL, as the spec asks.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { messageOf, PodtapError } from "../../../base/errors.ts";
import { type Attachment, checkAttachment, cniArgs, passesResult, pluginConfig } from "./attachment.ts";
import { type CniNetwork, isCniName } from "./conflist.ts";
import { type CniCommand, execPlugin, type PluginHost, TIMED_OUT } from "./exec-plugin.ts";
import { PLUGIN_REFUSED, TRY_AGAIN_LATER } from "./plugin-error.ts";
import { type CniResult, parseCniResult } from "./result.ts";

export interface CniOptions extends PluginHost {
  /** Notes of what is attached; in the run directory, for neither namespaces nor leases survive a reboot. */
  readonly cacheDir: string;
}

export interface Cni {
  /** Adding the same NIC again returns the result of the first time. */
  add(attachment: Attachment): Promise<CniResult>;
  /** Throws what the plugins find wrong. */
  check(containerId: string, ifName: string): Promise<void>;
  /** All NICs of the pod, the last first. What is not attached is no error. */
  deleteAll(containerId: string): Promise<void>;
  delete(containerId: string, ifName: string): Promise<void>;
  /** Gives up on plugins that cannot undo what they did: macvlan, when its master is gone. */
  forget(containerId: string): void;
  /** Pods with notes: attached, or half attached. */
  list(): readonly string[];
  /** What ADD said, from the note. */
  resultOf(containerId: string, ifName: string): CniResult | undefined;
  /** What the NIC was attached to, from the note. */
  networkOf(containerId: string, ifName: string): CniNetwork | undefined;
}

interface Note {
  readonly attachment: Attachment;
  /** As the last plugin gave it; absent until ADD is done. */
  readonly result?: unknown;
}

const NSFS_MAGIC = 0x6e736673;

export function createCni(options: CniOptions): Cni {
  const folderOf = (containerId: string) => join(options.cacheDir, containerId);

  const noted = (containerId: string) =>
    (isCniName(containerId) ? listNames(folderOf(containerId)) : [])
      .flatMap((name) => {
        const path = join(folderOf(containerId), name);
        const match = /^(\d+)-(.+)\.json$/.exec(name);
        return match === null ? [] : [{ path, order: Number(match[1]), ifName: match[2] ?? "" }];
      })
      .toSorted((a, b) => a.order - b.order);

  const find = (containerId: string, ifName: string) => {
    const entry = noted(containerId).find((one) => one.ifName === ifName);
    return entry === undefined ? undefined : { ...entry, note: readNote(entry.path) };
  };

  const release = async ({ path }: { readonly path: string }) => {
    const note = readNote(path);
    if (note !== undefined) await detach(options, note);
    rmSync(path, { force: true });
  };

  return {
    add: async (attachment) => {
      checkAttachment(attachment);
      const { containerId, ifName } = attachment;
      const known = find(containerId, ifName);
      if (known?.note?.result !== undefined) return resultFrom(known.note.result, attachment);
      if (known !== undefined) await release(known);
      const order = (noted(containerId).at(-1)?.order ?? -1) + 1;
      const path = join(folderOf(containerId), `${order}-${ifName}.json`);
      writeNote(path, { attachment });
      try {
        const result = await attach(options, attachment);
        const parsed = resultFrom(result, attachment);
        writeNote(path, { attachment, result });
        return parsed;
      } catch (thrown) {
        // Its own failure would hide the cause; the note stays, and with it the chance to clean up later.
        await release({ path }).then(
          () => removeEmpty(folderOf(containerId)),
          () => undefined,
        );
        throw thrown;
      }
    },
    check: async (containerId, ifName) => {
      const note = find(containerId, ifName)?.note;
      if (note?.result === undefined) throw notAttached(containerId, ifName);
      const { cniVersion, disableCheck, plugins } = note.attachment.network;
      if (disableCheck === true || !passesResult("CHECK", cniVersion)) return;
      for (const plugin of plugins) await call(options, note.attachment, plugin, "CHECK", note.result);
    },
    delete: async (containerId, ifName) => {
      const entry = find(containerId, ifName);
      if (entry !== undefined) await release(entry);
      removeEmpty(folderOf(containerId));
    },
    deleteAll: async (containerId) => {
      const failures: unknown[] = [];
      for (const entry of noted(containerId).toReversed()) {
        await release(entry).catch((thrown: unknown) => failures.push(thrown));
      }
      if (failures.length > 0) throw oneOf(failures);
      if (isCniName(containerId)) removeEmpty(folderOf(containerId));
    },
    forget: (containerId) => {
      for (const { path } of noted(containerId)) rmSync(path, { force: true });
      if (isCniName(containerId)) removeEmpty(folderOf(containerId));
    },
    list: () => listNames(options.cacheDir).filter(isCniName).toSorted(),
    resultOf: (containerId, ifName) => parseCniResult(find(containerId, ifName)?.note?.result),
    networkOf: (containerId, ifName) => find(containerId, ifName)?.note?.attachment.network,
  };
}

async function attach(host: PluginHost, attachment: Attachment): Promise<unknown> {
  let result: unknown;
  for (const plugin of attachment.network.plugins) {
    result = await call(host, attachment, plugin, "ADD", result);
  }
  return result;
}

async function detach(host: PluginHost, { attachment, result }: Note): Promise<void> {
  const { plugins, cniVersion } = attachment.network;
  const prevResult = passesResult("DEL", cniVersion) ? result : undefined;
  const failures: unknown[] = [];
  for (const plugin of plugins.toReversed()) {
    await call(host, attachment, plugin, "DEL", prevResult)
      .catch((thrown: unknown) => {
        if (!isLinkGone(thrown)) throw thrown;
        return releaseAddresses(host, attachment, plugin, prevResult);
      })
      .catch((thrown: unknown) => {
        // What made ADD fail (no such plugin, a configuration it refuses) makes DEL fail too, for ever.
        if (result !== undefined || isPassing(thrown)) failures.push(thrown);
      });
  }
  if (failures.length > 0) throw oneOf(failures);
}

/**
 * The link that a network was built on is gone, unplugged for one, and the pod's with it. The plugins look for it
 * before they give addresses back (macvlan, ipvlan, vlan of containernetworking 1.1), and would for ever.
 */
function isLinkGone(thrown: unknown): boolean {
  return (
    thrown instanceof PodtapError && thrown.code === PLUGIN_REFUSED && /link not found/i.test(thrown.message)
  );
}

async function releaseAddresses(
  host: PluginHost,
  attachment: Attachment,
  plugin: Attachment["network"]["plugins"][0],
  prevResult: unknown,
): Promise<void> {
  const type = (plugin["ipam"] as { readonly type?: unknown } | undefined)?.type;
  if (typeof type === "string") await call(host, attachment, plugin, "DEL", prevResult, type);
}

function isPassing(thrown: unknown): boolean {
  return thrown instanceof PodtapError && [TIMED_OUT, TRY_AGAIN_LATER].includes(thrown.code);
}

function call(
  host: PluginHost,
  attachment: Attachment,
  plugin: Attachment["network"]["plugins"][0],
  command: CniCommand,
  prevResult: unknown,
  program = plugin.type,
): Promise<unknown> {
  const { containerId, netnsPath, ifName } = attachment;
  return execPlugin(host, {
    plugin: program,
    command,
    containerId,
    netns: command !== "DEL" || isNetns(netnsPath) ? netnsPath : "",
    ifName,
    args: cniArgs(attachment),
    config: pluginConfig(attachment, plugin, prevResult),
  });
}

function resultFrom(answer: unknown, { network, ifName }: Attachment): CniResult {
  const result = parseCniResult(answer);
  if (result !== undefined) return result;
  throw new PodtapError({
    code: "PT-CNI-7",
    message: `CNI network ${network.name} gave no result for ${ifName}`,
    hint: `its last plugin, ${network.plugins.at(-1)?.type}, answered ADD without one`,
    retry: "on-change",
  });
}

function notAttached(containerId: string, ifName: string): PodtapError {
  return new PodtapError({
    code: "PT-CNI-8",
    message: `${ifName} of pod ${containerId} is not attached to a network`,
    retry: "on-change",
  });
}

function oneOf(failures: readonly unknown[]): unknown {
  const [first] = failures;
  if (failures.length === 1) return first;
  return new PodtapError({
    code: "PT-CNI-9",
    message: failures.map(messageOf).join("; "),
    retry: "soon",
    cause: first,
    ...(first instanceof PodtapError && first.hint !== undefined && { hint: first.hint }),
  });
}

/** A deleted namespace may leave its file, which plugins stumble over. */
function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Undefined for a note that was cut short: nothing had been asked of a plugin then. */
function readNote(path: string): Note | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Note;
  } catch {
    return undefined;
  }
}

function writeNote(path: string, note: Note): void {
  mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function listNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    if ((thrown as { code?: string }).code === "ENOENT") return [];
    throw thrown;
  }
}

function removeEmpty(folder: string): void {
  for (const name of listNames(folder))
    if (name.endsWith(".new")) rmSync(join(folder, name), { force: true });
  try {
    rmdirSync(folder);
  } catch (thrown) {
    if (!["ENOENT", "ENOTEMPTY"].includes((thrown as { code?: string }).code ?? "")) throw thrown;
  }
}
