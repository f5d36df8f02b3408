/**
 * Plugins of NADs that are run otherwise than they are written, each for a reason that a user may know. A row of the
 * table is all that such a case needs. Pure.
 */
import type { Nad } from "../../../api/types.ts";
import { PodtapError } from "../../../base/errors.ts";
import { isLinkName } from "../../../base/names.ts";
import type { CniPlugin } from "./conflist.ts";
import { asHostLocal } from "./whereabouts.ts";

export interface SubstituteContext {
  readonly nad: Nad;
  /** Something asks for addresses: the annotation's `ips`, or its cni-args. */
  readonly addressesAsked: boolean;
  /** Of host-local. In the run directory: neither pods nor addresses outlive a reboot. */
  readonly leaseDir: string;
}

interface Substitute {
  applies(plugin: CniPlugin, context: SubstituteContext): boolean;
  replace(plugin: CniPlugin, context: SubstituteContext): CniPlugin;
  /** For the user; undefined where nothing is different to see. */
  note(replaced: CniPlugin): string | undefined;
}

export const RESOURCE_ANNOTATION = "k8s.v1.cni.cncf.io/resourceName";
/** The device plugin of macvtap-cni names resources so; the rest is the host's link. */
const MACVTAP_RESOURCE = "macvtap.network.kubevirt.io/";

/** OpenShift ships these plugins under names of its own, unchanged otherwise. */
const RENAMED = /^cnv-(bridge|tuning)$/;

const SUBSTITUTES: readonly Substitute[] = [
  {
    applies: ({ type }) => RENAMED.test(type),
    replace: (plugin) => ({ ...plugin, type: plugin.type.replace(RENAMED, "$1") }),
    note: () => undefined,
  },
  {
    // It gives out addresses for a whole cluster. On one machine host-local knows them all, too.
    applies: ({ ipam }) => ipamType(ipam) === "whereabouts" && asHostLocal(ipam as Json) !== undefined,
    replace: (plugin) => {
      const ipam = asHostLocal(plugin["ipam"] as Json);
      return ipam === undefined ? plugin : { ...plugin, ipam };
    },
    note: () => "whereabouts is not needed here: host-local gives the addresses of the same ranges",
  },
  {
    // macvtap-cni moves a macvtap that its device plugin made. A macvlan of the same lower link takes its place:
    // a macvtap made on it in the pod sits on that lower link, too (macvlan_common_newlink).
    applies: ({ type }) => type === "macvtap",
    replace: (plugin, { nad }) => ({
      type: "macvlan",
      master: lowerLink(plugin, nad),
      mode: typeof plugin["mode"] === "string" ? plugin["mode"] : "bridge",
      ...(typeof plugin["mtu"] === "number" && { mtu: plugin["mtu"] }),
      capabilities: { mac: true },
    }),
    note: ({ mode, master }) =>
      `macvtap-cni is not needed here: attached by macvlan in ${mode} mode on ${master}`,
  },
  {
    // The main plugins refuse an IPAM that gives nothing, so such a NAD works nowhere as it is written.
    applies: ({ type, ipam }, { addressesAsked }) =>
      type !== "ptp" && ipamType(ipam) === "static" && !addressesAsked && !hasAddresses(ipam),
    replace: ({ ipam: _, ...plugin }) => ({ ...plugin, ipam: {} }) as CniPlugin,
    note: () => "its static IPAM names no address: attached without addresses",
  },
  {
    applies: ({ ipam }) => ipamType(ipam) === "host-local" && (ipam as Json)["dataDir"] === undefined,
    replace: (plugin, { leaseDir }) => ({
      ...plugin,
      ipam: { ...(plugin["ipam"] as Json), dataDir: leaseDir },
    }),
    note: () => undefined,
  },
];

export interface Substituted {
  readonly plugin: CniPlugin;
  readonly notes: readonly string[];
}

/** @throws PT-NAD-5 for a macvtap network that names no link */
export function substitute(written: CniPlugin, context: SubstituteContext): Substituted {
  return SUBSTITUTES.reduce<Substituted>(
    (done, row) => {
      if (!row.applies(done.plugin, context)) return done;
      const plugin = row.replace(done.plugin, context);
      const note = row.note(plugin);
      return { plugin, notes: note === undefined ? done.notes : [...done.notes, note] };
    },
    { plugin: written, notes: [] },
  );
}

type Json = Readonly<Record<string, unknown>>;

function ipamType(ipam: unknown): unknown {
  return (ipam as Json | null | undefined)?.["type"];
}

function hasAddresses(ipam: unknown): boolean {
  const { addresses } = ipam as Json;
  return Array.isArray(addresses) && addresses.length > 0;
}

function lowerLink(plugin: CniPlugin, nad: Nad): string {
  const resource = nad.metadata.annotations?.[RESOURCE_ANNOTATION] ?? "";
  const named = [
    plugin["master"],
    resource.startsWith(MACVTAP_RESOURCE) ? resource.slice(MACVTAP_RESOURCE.length) : undefined,
    plugin["deviceID"],
  ].find((name): name is string => typeof name === "string" && isLinkName(name));
  if (named !== undefined) return named;
  const { namespace = "default", name } = nad.metadata;
  throw new PodtapError({
    code: "PT-NAD-5",
    message: `the macvtap network ${namespace}/${name} does not say on which link of the host`,
    hint: `annotate it with ${RESOURCE_ANNOTATION}: ${MACVTAP_RESOURCE}<link>, or write "master": "<link>" in its config`,
    retry: "on-change",
    blame: "manifest",
  });
}
