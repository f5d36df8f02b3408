/** From a NetworkAttachmentDefinition to the CNI network it means, with what a pod asks of it worked in. */
import type { Nad } from "../../../api/types.ts";
import { PodtapError } from "../../../base/errors.ts";
import type { NetworkSelection } from "../../multus/network-selection.ts";
import { type CniNetwork, type CniPlugin, parseCniNetwork } from "./conflist.ts";
import { findConflist } from "./load-conflist.ts";
import { RESOURCE_ANNOTATION, substitute } from "./substitutes.ts";

export interface NadFolders {
  /** For NADs without a configuration: the file whose network has the NAD's name. */
  readonly confDir: string;
  /** Addresses that host-local gave, where the NAD does not say. */
  readonly leaseDir: string;
}

export interface NadNetwork {
  readonly network: CniNetwork;
  /** What is done otherwise than written, in words. */
  readonly notes: readonly string[];
}

type Wishes = Pick<NetworkSelection, "ips" | "cni-args">;

/** @throws PT-CNI-1 naming the NAD and its field, PT-NAD-4 for an empty one without its file, PT-NAD-5 */
export function nadNetwork(nad: Nad, wishes: Wishes, folders: NadFolders): NadNetwork {
  const { name } = nad.metadata;
  const config = nad.spec?.config?.trim() ?? "";
  const written =
    config === ""
      ? fromFile(nad, folders.confDir)
      : parseCniNetwork(config, `NetworkAttachmentDefinition ${nadLabel(nad)}, spec.config`, name);
  const context = { nad, addressesAsked: asksForAddresses(wishes), leaseDir: folders.leaseDir };
  const [first, ...rest] = written.plugins.map((plugin) =>
    // A file belongs to others, too: their addresses are kept where it says.
    config === "" ? { plugin, notes: [] } : substitute(plugin, context),
  );
  if (first === undefined) return { network: written, notes: [] };
  return {
    network: {
      ...written,
      plugins: [
        withWishes(first.plugin, wishes, true),
        ...rest.map(({ plugin }) => withWishes(plugin, wishes, false)),
      ],
    },
    notes: [...[first, ...rest].flatMap(({ notes }) => notes), ...resourceNote(nad, written)],
  };
}

export function nadLabel({ metadata }: Nad): string {
  return `${metadata.namespace ?? "default"}/${metadata.name}`;
}

function fromFile(nad: Nad, confDir: string): CniNetwork {
  const { network, broken } = findConflist(confDir, nad.metadata.name);
  if (network !== undefined) return network;
  const also = broken.length === 0 ? "" : ` (not readable: ${broken.join("; ")})`;
  throw new PodtapError({
    code: "PT-NAD-4",
    message: `NetworkAttachmentDefinition ${nadLabel(nad)} has no spec.config, and no file in ${confDir} has a network named ${nad.metadata.name}${also}`,
    hint: "write the CNI configuration into spec.config, or into such a file",
    retry: "on-change",
    blame: "manifest",
  });
}

/**
 * `cni-args` go to every plugin under `args.cni` (Multus, `pkg/types/conf.go`). Addresses go to plugins with the
 * capability; the standard IPAM plugins read them from there, too, so without it they are not lost.
 */
function withWishes(plugin: CniPlugin, wishes: Wishes, first: boolean): CniPlugin {
  const ips = first && plugin.capabilities?.["ips"] !== true ? wishes.ips : undefined;
  const more = { ...(ips !== undefined && { ips }), ...wishes["cni-args"] };
  if (Object.keys(more).length === 0) return plugin;
  const args = object(plugin["args"]);
  return { ...plugin, args: { ...args, cni: { ...object(args["cni"]), ...more } } };
}

function asksForAddresses(wishes: Wishes): boolean {
  return (wishes.ips?.length ?? 0) > 0 || wishes["cni-args"]?.["ips"] !== undefined;
}

/** Device plugins hand out devices in a cluster; nobody does here. */
function resourceNote(nad: Nad, { plugins }: CniNetwork): readonly string[] {
  const resource = nad.metadata.annotations?.[RESOURCE_ANNOTATION];
  if (resource === undefined || plugins[0].type === "macvtap") return [];
  return [`the device resource ${resource} is not handed out here: the plugin is run without a device`];
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}
