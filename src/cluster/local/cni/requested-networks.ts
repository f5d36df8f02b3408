/**
 * What a pod is to be attached to, from its annotations as Multus reads them: the pod network or the NAD that takes
 * its place, then the others in their order. All of it is looked up before the first plugin runs, so that nothing is
 * half attached for want of a NAD, and all that is wrong is said at once.
 */
import type { Nad } from "../../../api/types.ts";
import { messageOf, PodtapError } from "../../../base/errors.ts";
import { type Mac, parseMac } from "../../../base/mac.ts";
import { PRIMARY_POD_INTERFACE } from "../../../base/names.ts";
import {
  DEFAULT_NETWORK_ANNOTATION,
  NETWORKS_ANNOTATION,
  type NetworkSelection,
  parseNadName,
  parseSelections,
} from "../../multus/network-selection.ts";
import type { CniNetwork } from "./conflist.ts";
import { type NadFolders, nadLabel, nadNetwork } from "./nad-network.ts";

export interface RequestedNetwork {
  /** As network-status has it: `namespace/nad`, or the pod network's CNI name. */
  readonly name: string;
  readonly ifName: string;
  readonly primary: boolean;
  readonly network: CniNetwork;
  readonly mac?: Mac;
  readonly capabilityArgs?: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

export interface NetworkSources extends NadFolders {
  /** Undefined where there is none of this name. */
  nad(namespace: string, name: string): Promise<Nad | undefined>;
  allNads(): Promise<readonly Nad[]>;
  /** The cluster's default network. */
  podNetwork(): CniNetwork;
}

/** Where Multus looks for a default network that names no namespace. */
const MULTUS_NAMESPACE = "kube-system";

/** @throws PT-NAD-1 to -6, PT-CNI-1; of several problems the first one's code with every message */
export async function requestedNetworks(
  annotations: Readonly<Record<string, string>>,
  namespace: string,
  sources: NetworkSources,
): Promise<readonly RequestedNetwork[]> {
  const selections = parseSelections(annotations[NETWORKS_ANNOTATION] ?? "", namespace);
  const links = selections.map((selection, i) => selection.interface ?? `net${i + 1}`);
  checkLinks(links);
  const primary = annotations[DEFAULT_NETWORK_ANNOTATION];
  const settled = await Promise.allSettled([
    primary === undefined ? podNetwork(sources) : defaultNad(primary, namespace, sources),
    ...selections.map((selection, i) => secondary(selection, links[i] ?? "", sources)),
  ]);
  const failures = settled.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  if (failures.length > 0) throw together(failures);
  const requested = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const taken = deviceTakenTwice(requested);
  if (taken !== undefined) throw taken;
  return requested;
}

/** host-device moves the device itself into the pod: the second of two finds it gone. */
export function deviceTakenTwice(
  networks: readonly Pick<RequestedNetwork, "name" | "network">[],
): PodtapError | undefined {
  const takers = new Map<unknown, string>();
  for (const { name, network } of networks) {
    const [{ type, device }] = network.plugins;
    if (type !== "host-device" || device === undefined) continue;
    const other = takers.get(device);
    if (other !== undefined) return takenTwice(String(device), other, name);
    takers.set(device, name);
  }
  return undefined;
}

function takenTwice(device: string, first: string, second: string): PodtapError {
  const who = first === second ? `${first}, asked for twice,` : `${first} and ${second}`;
  return new PodtapError({
    code: "PT-NAD-6",
    message: `networks ${who} both take the host's ${device}, which is in one place at a time`,
    hint: `name another device; or share ${device}: by the macvlan plugin with \`master: ${device}\`, or as a port of a bridge`,
    retry: "on-change",
    blame: "manifest",
  });
}

async function podNetwork(sources: NetworkSources): Promise<RequestedNetwork> {
  const network = sources.podNetwork();
  return { name: network.name, ifName: PRIMARY_POD_INTERFACE, primary: true, network, notes: [] };
}

/** KubeVirt asks for no MAC here. */
async function defaultNad(
  text: string,
  namespace: string,
  sources: NetworkSources,
): Promise<RequestedNetwork> {
  const wanted = parseNadName(text, namespace);
  if (wanted === undefined) throw badName(text);
  const nad =
    (await sources.nad(wanted.namespace, wanted.name)) ??
    (text.includes("/") ? undefined : await sources.nad(MULTUS_NAMESPACE, wanted.name));
  if (nad === undefined) throw await notFound(wanted, sources);
  const made = nadNetwork(nad, {}, sources);
  return { name: nadLabel(nad), ifName: PRIMARY_POD_INTERFACE, primary: true, ...made };
}

async function secondary(
  selection: NetworkSelection,
  ifName: string,
  sources: NetworkSources,
): Promise<RequestedNetwork> {
  const nad = await sources.nad(selection.namespace, selection.name);
  if (nad === undefined) throw await notFound(selection, sources);
  const mac = selection.mac === undefined ? undefined : parseMac(selection.mac);
  if (selection.mac !== undefined && mac === undefined) throw badMac(selection);
  const { ips, portMappings, bandwidth } = selection;
  const wishes = {
    ...(ips && { ips }),
    ...(portMappings && { portMappings }),
    ...(bandwidth && { bandwidth }),
  };
  return {
    name: nadLabel(nad),
    ifName,
    primary: false,
    ...(mac !== undefined && { mac }),
    ...(Object.keys(wishes).length > 0 && { capabilityArgs: wishes }),
    ...nadNetwork(nad, selection, sources),
  };
}

function checkLinks(links: readonly string[]): void {
  const taken = [PRIMARY_POD_INTERFACE, "lo"];
  const twice = links.find((name, i) => taken.includes(name) || links.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new PodtapError({
    code: "PT-NAD-3",
    message: `two networks of the pod are to be ${twice}`,
    hint: `name another interface in the annotation ${NETWORKS_ANNOTATION}, or none`,
    retry: "on-change",
    blame: "manifest",
  });
}

/** Names the nearest: those of the same namespace, else all there are. */
async function notFound(
  { namespace, name }: Pick<NetworkSelection, "namespace" | "name">,
  sources: NetworkSources,
): Promise<PodtapError> {
  const all = await sources.allNads();
  const near = all.filter(({ metadata }) => metadata.namespace === namespace || metadata.name === name);
  const there = (near.length > 0 ? near : all).map(nadLabel).toSorted();
  const known = there.length === 0 ? "there is none at all" : `there are ${listed(there)}`;
  return new PodtapError({
    code: "PT-NAD-2",
    message: `there is no NetworkAttachmentDefinition ${namespace}/${name}; ${known}`,
    hint: `apply it (\`podtap up nad.yaml\`), and the VM goes on by itself; or name another in multus.networkName, as name or namespace/name`,
    retry: "on-change",
    blame: "manifest",
  });
}

const LISTED_MAX = 8;

function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  return names.slice(0, LISTED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function badName(text: string): PodtapError {
  return new PodtapError({
    code: "PT-NAD-1",
    message: `${JSON.stringify(text)} is not the name of a NetworkAttachmentDefinition`,
    hint: "write name or namespace/name",
    retry: "on-change",
    blame: "manifest",
  });
}

function badMac({ mac, namespace, name }: NetworkSelection): PodtapError {
  return new PodtapError({
    code: "PT-NAD-1",
    message: `${JSON.stringify(mac)}, asked of network ${namespace}/${name}, is not a MAC of 6 bytes`,
    retry: "on-change",
    blame: "manifest",
  });
}

function together(failures: readonly unknown[]): unknown {
  const [first, ...more] = failures;
  if (more.length === 0 || !(first instanceof PodtapError)) return first;
  const { code, hint, retry, blame } = first;
  const message = [...new Set(failures.map(messageOf))].join("; ");
  return new PodtapError({ code, message, retry, blame, cause: first, ...(hint !== undefined && { hint }) });
}
