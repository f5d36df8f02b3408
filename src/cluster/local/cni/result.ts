/** What a plugin answered to ADD: results of spec 0.1.0 to 1.1.0 as one shape. */
import { type Cidr, cidrIp, type Ip, parseCidr, parseIp } from "../../../base/ip.ts";
import { type Mac, parseMac } from "../../../base/mac.ts";

export interface CniInterface {
  readonly name: string;
  readonly mac?: Mac;
  /** From spec 1.1.0 on. */
  readonly mtu?: number;
  /** Path of the namespace it is in; absent for links of the host. */
  readonly sandbox?: string;
}

export interface CniAddress {
  readonly address: Cidr;
  readonly gateway?: Ip;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniAddress[];
  readonly routes: readonly { readonly dst: Cidr; readonly gw?: Ip }[];
  readonly dns: {
    readonly nameservers: readonly Ip[];
    readonly search: readonly string[];
    readonly domain?: string;
    readonly options?: readonly string[];
  };
}

type Json = Readonly<Record<string, unknown>>;

/** Undefined when it is not an object; entries that make no sense are left out, for plugins are third parties. */
export function parseCniResult(value: unknown): CniResult | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const json = value as Json;
  const old = [json["ip4"], json["ip6"]].map(object).filter((part) => part !== undefined);
  return {
    interfaces: objects(json["interfaces"]).flatMap(toInterface),
    // Up to 0.2.0 there is one address a family, under `ip4` and `ip6`.
    ips: [
      ...objects(json["ips"]).flatMap(toAddress),
      ...old.flatMap((part) => toAddress({ ...part, address: part["ip"] })),
    ],
    routes: [...objects(json["routes"]), ...old.flatMap((part) => objects(part["routes"]))].flatMap(toRoute),
    dns: toDns(object(json["dns"]) ?? {}),
  };
}

/** The pod's own addresses: those of the interface, or of none in particular. */
export function podAddresses(result: CniResult, ifName: string): readonly Ip[] {
  return result.ips
    .filter(({ interface: index }) => {
      const link = index === undefined ? undefined : result.interfaces[index];
      return (
        link === undefined || (link.name === ifName && link.sandbox !== undefined && link.sandbox !== "")
      );
    })
    .map(({ address }) => cidrIp(address));
}

function toInterface(json: Json): CniInterface[] {
  const { name, sandbox, mtu } = json;
  if (typeof name !== "string") return [];
  const mac = typeof json["mac"] === "string" ? parseMac(json["mac"]) : undefined;
  return [
    {
      name,
      ...(mac !== undefined && { mac }),
      ...(typeof mtu === "number" && mtu > 0 && { mtu }),
      ...(typeof sandbox === "string" && sandbox !== "" && { sandbox }),
    },
  ];
}

function toAddress(json: Json): CniAddress[] {
  const address = parsed(json["address"], parseCidr);
  const gateway = parsed(json["gateway"], parseIp);
  const index = json["interface"];
  if (address === undefined) return [];
  return [
    {
      address,
      ...(gateway !== undefined && { gateway }),
      ...(typeof index === "number" && { interface: index }),
    },
  ];
}

function toRoute(json: Json): { dst: Cidr; gw?: Ip }[] {
  const dst = parsed(json["dst"], parseCidr);
  const gw = parsed(json["gw"], parseIp);
  return dst === undefined ? [] : [{ dst, ...(gw !== undefined && { gw }) }];
}

function toDns(json: Json): CniResult["dns"] {
  const strings = (list: unknown) =>
    Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
  const { domain } = json;
  const options = strings(json["options"]);
  return {
    nameservers: strings(json["nameservers"]).flatMap((text) => parseIp(text) ?? []),
    search: strings(json["search"]),
    ...(typeof domain === "string" && domain !== "" && { domain }),
    ...(options.length > 0 && { options }),
  };
}

function parsed<T>(value: unknown, parse: (text: string) => T | undefined): T | undefined {
  return typeof value === "string" ? parse(value) : undefined;
}

function object(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null ? (value as Json) : undefined;
}

function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(object).filter((item) => item !== undefined) : [];
}
