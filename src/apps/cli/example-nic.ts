/** An example of the NIC that a CNI network would make, for planning where none is: what its configuration tells. */
import {
  type Cidr,
  cidrIp,
  cidrNetwork,
  cidrPrefix,
  familyOf,
  type Ip,
  ipPlus,
  parseCidr,
  parseIp,
  toCidr,
} from "../../base/ip.ts";
import { type Mac, parseMac } from "../../base/mac.ts";
import { hexHash } from "../../base/names.ts";
import type { CniNetwork, CniPlugin } from "../../cluster/local/cni/conflist.ts";
import type { ObservedLink, ObservedRoute } from "../../plan/observed.ts";
import type { MacvlanMode } from "../../plan/plan.ts";

export interface ExampleNic {
  readonly link: ObservedLink;
  readonly routes: readonly ObservedRoute[];
}

export interface ExampleRequest {
  readonly name: string;
  readonly index: number;
  /** The interface's `macAddress`. */
  readonly mac?: string;
}

/** @param network undefined: nothing is known of it */
export function exampleNic(network: CniNetwork | undefined, request: ExampleRequest): ExampleNic {
  const { name, index } = request;
  const [plugin] = network?.plugins ?? [];
  const ranges = plugin === undefined ? [] : addressesOf(plugin);
  const mode = plugin?.["mode"];
  const type = LINK_TYPES[plugin?.type ?? ""] ?? "veth";
  return {
    link: {
      index,
      name,
      type,
      ...(type === "veth" && { peerElsewhere: true as const }),
      mac: parseMac(request.mac ?? "") ?? exampleMac(name),
      mtu: mtuOf(network),
      up: true,
      addresses: ranges.map(({ address }) => address),
      ...(plugin?.type === "macvlan" && {
        macvlan: { mode: (typeof mode === "string" ? mode : "bridge") as MacvlanMode },
      }),
    },
    routes: plugin === undefined ? [] : routesOf(plugin, name, ranges),
  };
}

/** What the kernel calls the links of the standard plugins. */
const LINK_TYPES: Readonly<Record<string, string>> = {
  macvlan: "macvlan",
  ipvlan: "ipvlan",
  vlan: "vlan",
  "host-device": "",
};

/** Locally administered, and the same for the same name. */
function exampleMac(name: string): Mac {
  const digits = hexHash(name).slice(0, 8).match(/../g) ?? [];
  return `0a:58:${digits.join(":")}` as Mac;
}

/** Of the plugins that set one the last; 1500 where none does. */
function mtuOf(network: CniNetwork | undefined): number {
  const sizes = (network?.plugins ?? [])
    .map(({ mtu }) => mtu)
    .filter((mtu) => typeof mtu === "number" && mtu > 0);
  return (sizes.at(-1) as number | undefined) ?? 1500;
}

interface Addressed {
  readonly address: Cidr;
  readonly gateway?: Ip;
}

type Json = Readonly<Record<string, unknown>>;

/** host-local's first free ones would do; these are seen to be examples. static's are the ones. */
function addressesOf(plugin: CniPlugin): readonly Addressed[] {
  const ipam = object(plugin["ipam"]);
  if (ipam["type"] === "static") {
    return list(ipam["addresses"]).flatMap(({ address, gateway }) => addressed(address, gateway));
  }
  const flat = ipam["subnet"] === undefined ? [] : [ipam];
  const sets = Array.isArray(ipam["ranges"]) ? ipam["ranges"].map((set) => list(set)[0] ?? {}) : [];
  return [...flat, ...sets].flatMap(({ subnet, gateway }) => {
    const range = typeof subnet === "string" ? parseCidr(subnet) : undefined;
    if (range === undefined) return [];
    const bits = familyOf(range) === 4 ? 32 : 128;
    const own = ipPlus(cidrNetwork(range), bits - cidrPrefix(range) > 3 ? 7 : 2);
    return addressed(toCidr(own, cidrPrefix(range)), gateway ?? ipPlus(cidrNetwork(range), 1));
  });
}

function addressed(address: unknown, gateway: unknown): readonly Addressed[] {
  const parsed = typeof address === "string" ? parseCidr(address) : undefined;
  const via = typeof gateway === "string" ? parseIp(gateway) : undefined;
  return parsed === undefined ? [] : [{ address: parsed, ...(via !== undefined && { gateway: via }) }];
}

function routesOf(plugin: CniPlugin, link: string, ranges: readonly Addressed[]): readonly ObservedRoute[] {
  const gatewayFor = (destination: Cidr): Ip | undefined =>
    ranges.find(({ address }) => familyOf(cidrIp(address)) === familyOf(destination))?.gateway;
  const wanted = list(object(plugin["ipam"])["routes"]).flatMap(({ dst, gw }): readonly ObservedRoute[] => {
    const destination = typeof dst === "string" ? parseCidr(dst) : undefined;
    if (destination === undefined) return [];
    const gateway = (typeof gw === "string" ? parseIp(gw) : undefined) ?? gatewayFor(destination);
    return [{ destination, link, ...(gateway !== undefined && { gateway }) }];
  });
  return [...(plugin.type === "ptp" ? ranges.flatMap((range) => ptpRoutes(range, link)) : []), ...wanted];
}

/** ptp replaces the network's own route: everything goes by the gateway (its main.go, setupContainerVeth). */
function ptpRoutes({ address, gateway }: Addressed, link: string): readonly ObservedRoute[] {
  if (gateway === undefined) return [];
  const host = familyOf(gateway) === 4 ? 32 : 128;
  return [
    { destination: toCidr(gateway, host), link },
    { destination: toCidr(cidrNetwork(address), cidrPrefix(address)), gateway, link },
  ];
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(object) : [];
}
