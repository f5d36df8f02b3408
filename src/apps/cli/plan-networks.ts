/** What the networks of a manifest are made by, for planning: NADs of the same files, else those the daemon has. */
import type { KubeObject } from "../../api/object.ts";
import type { Nad, NetworkSpec, Vmi } from "../../api/types.ts";
import { PRIMARY_POD_INTERFACE, secondaryPodInterface } from "../../base/names.ts";
import type { CniNetwork } from "../../cluster/local/cni/conflist.ts";
import { nadNetwork } from "../../cluster/local/cni/nad-network.ts";
import { networkAttachment } from "../../cluster/local/cni/network-attachment.ts";
import { parseNadName } from "../../cluster/multus/network-selection.ts";
import { NADS } from "../../cluster/port.ts";
import type { NetworkAttachment } from "../../plan/binding.ts";
import { isPrimary } from "../../plan/planner.ts";
import type { ApiClient } from "./client.ts";
import { exampleNic } from "./example-nic.ts";
import type { Surroundings } from "./plan-input.ts";

export interface KnownNetworks {
  readonly attachments: Readonly<Record<string, NetworkAttachment>>;
  /** By network name; undefined where its NAD is nowhere. */
  readonly networks: ReadonlyMap<string, CniNetwork | undefined>;
  /** For people: what is done otherwise, what is not known. */
  readonly notes: readonly string[];
}

/** Neither is written to: nothing is attached here. */
const FOLDERS = { confDir: "/etc/cni/net.d", leaseDir: "/run/podtap/leases/nad" };

/** @throws PT-CNI-1 and PT-NAD-4 for a NAD that no VM could be attached to */
export async function knownNetworks(
  { metadata, spec }: Vmi,
  objects: readonly KubeObject[],
  client: ApiClient | undefined,
): Promise<KnownNetworks> {
  const { namespace = "default" } = metadata;
  const networks = new Map<string, CniNetwork | undefined>();
  const notes: string[] = [];
  for (const { name, multus } of spec.networks ?? []) {
    if (multus === undefined) continue;
    const place = parseNadName(multus.networkName, namespace);
    const nad = place && (findNad(objects, place) ?? (await client?.find<Nad>(NADS, place)));
    if (nad === undefined) {
      notes.push(
        `network ${name}: its NAD ${multus.networkName} is neither in these manifests nor known to a daemon; planned as any link`,
      );
      networks.set(name, undefined);
      continue;
    }
    const made = nadNetwork(nad, {}, FOLDERS);
    networks.set(name, made.network);
    notes.push(...made.notes.map((note) => `network ${name}: ${note}`));
  }
  const attachments = [...networks].flatMap(([name, network]) =>
    network === undefined ? [] : [[name, networkAttachment(network)] as const],
  );
  return { attachments: Object.fromEntries(attachments), networks, notes };
}

/** The example pod with a NIC for each of the manifest's networks. */
export function exampleFor({ spec }: Vmi, known: KnownNetworks, example: Surroundings): Surroundings {
  const { links, routes } = example.observed;
  const made = (spec.networks ?? []).flatMap((network, i) => {
    if (!known.networks.has(network.name)) return [];
    const mac = spec.domain.devices.interfaces?.find(({ name }) => name === network.name)?.macAddress;
    const request = {
      name: linkOf(network),
      index: 3 + i,
      ...(mac !== undefined && !isPrimary(network) && { mac }),
    };
    return [exampleNic(known.networks.get(network.name), request)];
  });
  const replaced = new Set(made.map(({ link }) => link.name));
  return {
    ...example,
    attachments: known.attachments,
    observed: {
      ...example.observed,
      links: [...links.filter(({ name }) => !replaced.has(name)), ...made.map(({ link }) => link)],
      routes: [...routes.filter(({ link }) => !replaced.has(link)), ...made.flatMap((one) => one.routes)],
    },
  };
}

function linkOf(network: NetworkSpec): string {
  return isPrimary(network) ? PRIMARY_POD_INTERFACE : secondaryPodInterface(network.name);
}

function findNad(
  objects: readonly KubeObject[],
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Nad | undefined {
  return objects.find(
    ({ kind, metadata }): boolean =>
      kind === NADS.kind && metadata.name === name && metadata.namespace === namespace,
  ) as Nad | undefined;
}
