/**
 * One namespace's network in memory, for tests of what runs above the port. Held to the kernel's behaviour by
 * test/contract/kernel.contract.ts, which both pass; what that suite does not ask is not promised here. Packets do
 * not flow, counters stay 0.
 */
import type { Executors, Kernel } from "../../apply/ports.ts";
import { type Cidr, eui64, familyOf, type Ip } from "../../base/ip.ts";
import { type Mac, macToBytes, parseMac } from "../../base/mac.ts";
import { isLinkName, LINK_MARK } from "../../base/names.ts";
import type { NftTable, NftTableId } from "../../nft/model.ts";
import { renderTable } from "../../nft/render.ts";
import type { ObservedLink, ObservedNeighbour, ObservedRoute } from "../../plan/observed.ts";
import type { LinkChanges, Step, StepOf, StepOp } from "../../plan/step.ts";
import { EEXIST, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, KernelError } from "../errno.ts";
import { digestOf, refuseForeign } from "../nft-tables.ts";
import { withAddress, withoutAddress } from "./addresses.ts";
import { FakeLayer2 } from "./layer2.ts";
import { FakeRoutes } from "./routes.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Link = Mutable<ObservedLink>;

export interface FakeKernelOptions {
  /** Beside lo. An index is given where it is 0. */
  readonly links?: readonly ObservedLink[];
  /** Beside those that follow from addresses. */
  readonly routes?: readonly ObservedRoute[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Who answers when asked who has an address. */
  readonly answering?: readonly ObservedNeighbour[];
}

const LO: ObservedLink = {
  index: 1,
  name: "lo",
  type: "",
  mac: "00:00:00:00:00:00" as Mac,
  mtu: 65536,
  up: true,
  addresses: ["127.0.0.1/8" as Cidr, "::1/128" as Cidr],
};
const LINK_SYSCTLS: Readonly<Record<string, string>> = {
  "ipv4/conf/*/arp_ignore": "0",
  "ipv4/conf/*/route_localnet": "0",
  "ipv4/conf/*/forwarding": "0",
  "ipv4/conf/*/rp_filter": "0",
  "ipv6/conf/*/disable_ipv6": "0",
  "ipv6/conf/*/accept_ra": "1",
  "ipv6/conf/*/accept_dad": "1",
  "ipv6/conf/*/forwarding": "0",
  "ipv6/conf/*/addr_gen_mode": "0",
};
const PLAIN_SYSCTLS: Readonly<Record<string, string>> = {
  "net/ipv4/ip_forward": "0",
  "net/ipv4/ping_group_range": "1 0",
  "net/ipv4/ip_unprivileged_port_start": "1024",
  "net/bridge/bridge-nf-call-iptables": "1",
};

export function fakeKernel(options: FakeKernelOptions = {}): Kernel {
  const state = new State(options);
  const executors: Executors = {
    "bridge.add": (step) => state.addBridge(step),
    "tap.add": (step) => state.addTap(step),
    "park.add": (step) => state.addPark(step),
    "macvlan.add": (step) => state.addMacvlan(step),
    "route.add": ({ route }) => state.routing.add(route),
    "route.delete": ({ route }) => state.routing.delete(route),
    "neighbour.add": (step) => state.addNeighbour(step),
    "neighbour.delete": ({ link, ip }) => state.layer2.deleteNeighbour(link, ip),
    "fdb.add": (step) => state.addFdbEntry(step),
    "fdb.delete": ({ port, mac }) => state.layer2.deleteFdbEntry(port, mac),
    "redirect.set": (step) => state.setRedirect(step),
    "redirect.delete": ({ link }) => void state.layer2.redirects.delete(link),
    "link.set": ({ name, changes }) => state.setLink(name, changes),
    "link.delete": ({ name }) => state.deleteLink(name),
    "address.add": (step) => state.addAddress(step),
    "address.delete": ({ link, address }) => state.deleteAddress(link, address),
    "sysctl.set": ({ key, value }) => state.setSysctl(key, value),
    "nft.replace": ({ tables }) => state.replaceTables(tables),
    "nft.delete": ({ tables }) => state.deleteTables(tables),
  };
  return {
    readLinks: () => state.links.map((link) => structuredClone(link)),
    readRoutes: () => state.routing.list(),
    readNeighbours: () => structuredClone(state.layer2.neighbours),
    resolveNeighbours: (link, ips) => {
      const near = (options.answering ?? []).filter((one) => one.link === link);
      const found = near.filter(({ ip }) => ips.includes(ip));
      const guesses = found.map(({ mac }) => eui64("fe80::" as Ip, macToBytes(mac)));
      return near.filter((one) => found.includes(one) || guesses.includes(one.ip));
    },
    readFdb: () => structuredClone(state.layer2.fdb),
    readRedirects: (links) => state.layer2.readRedirects(links),
    readSysctl: (key) => state.sysctl(key) ?? null,
    readNftTables: (prefix) =>
      [...state.tables.values()]
        .filter(({ name }) => name.startsWith(prefix))
        .map((table) => ({ family: table.family, name: table.name, digest: digestOf(renderTable(table)) })),
    readNftGeneration: () => state.generation,
    readNftCounters: (table) => state.counters(table),
    run: (...steps: readonly Step[]) => {
      for (const step of steps) (executors[step.op] as (step: StepOf<StepOp>) => void)(step);
    },
  };
}

class State {
  readonly links: Link[];
  readonly tables = new Map<string, NftTable>();
  generation = 1;
  readonly layer2 = new FakeLayer2();
  readonly routing: FakeRoutes;
  readonly #sysctls: Map<string, string>;
  /** By name: the lower link whose MAC they took over, and what it was. */
  readonly #passthru = new Map<string, { readonly lower: Link; readonly mac: Mac | undefined }>();
  #lastIndex: number;

  constructor({ links = [], routes = [], sysctls = {} }: FakeKernelOptions) {
    this.#lastIndex = Math.max(1, ...links.map(({ index }) => index));
    this.links = [LO, ...links].map((link) => ({
      ...structuredClone(link),
      index: link.index || this.#next(),
    }));
    this.routing = new FakeRoutes(() => this.links, routes);
    this.#sysctls = new Map(Object.entries({ ...PLAIN_SYSCTLS, ...sysctls }));
  }

  addBridge({ name, mac, mtu }: StepOf<"bridge.add">): void {
    const there = this.#own(name, "bridge", "make the bridge");
    if (there === undefined) {
      this.#add({ name, type: "bridge", mac: mac ?? this.#randomMac(), mtu });
    } else {
      Object.assign(there, { mtu, ...(mac !== undefined && { mac }) });
    }
  }

  addTap({ name, uid, multiQueue, mtu }: StepOf<"tap.add">): void {
    const there = this.#own(name, "tun", "make the tap");
    if (there === undefined) {
      this.#add({ name, type: "tun", mac: this.#randomMac(), mtu, tap: { uid, multiQueue } });
    } else if (there.tap?.uid === uid && there.tap.multiQueue === multiQueue) {
      there.mtu = mtu;
    } else {
      throw new KernelError({ errno: EEXIST, operation: "make the tap", object: name });
    }
  }

  addPark({ name, kind, mac, mtu }: StepOf<"park.add">): void {
    this.#make({ name, type: kind, mac, mtu }, `make the ${kind}`);
  }

  addMacvlan({ name, lower, mode, tap, mac, mtu }: StepOf<"macvlan.add">): void {
    const type = tap ? "macvtap" : "macvlan";
    const operation = `make the ${type}`;
    const there = this.#own(name, type, operation);
    if (there !== undefined && there.macvlan?.mode !== mode) {
      throw new KernelError({ errno: EEXIST, operation, object: name });
    }
    if (mtu > this.need(lower, operation).mtu)
      throw new KernelError({ errno: EINVAL, operation, object: name });
    this.#make({ name, type, mac, mtu, macvlan: { mode } }, operation);
    const under = this.need(lower, operation);
    if (mode !== "passthru" || this.#passthru.has(name)) return;
    this.#passthru.set(name, { lower: under, mac: under.mac });
    under.mac = mac;
  }

  setLink(name: string, { rename, master, port, ...plain }: LinkChanges): void {
    const operation = "change the link";
    const link = this.need(name, operation);
    if (rename !== undefined && !isLinkName(rename)) {
      throw new KernelError({ errno: EINVAL, operation, object: name });
    }
    if (rename !== undefined && rename !== name && this.#find(rename) !== undefined) {
      throw new KernelError({ errno: EEXIST, operation, object: name });
    }
    if (typeof master === "string") this.#enslave(link, this.need(master, operation).name);
    if (master === null) this.#release(link);
    if (port !== undefined && master !== null) {
      if (link.port === undefined) throw new KernelError({ errno: EOPNOTSUPP, operation, object: name });
      link.port = { ...link.port, ...port };
    }
    if (plain.up === false || (plain.mac !== undefined && plain.mac !== link.mac)) {
      this.layer2.forgetNeighbours(name);
    }
    Object.assign(link, plain);
    if (plain.up === false) {
      // IPv6 addresses are not kept on a link that is down (keep_addr_on_down).
      link.addresses = link.addresses.filter((address) => familyOf(address) === 4);
      this.routing.settle();
    }
    if (rename !== undefined) this.#rename(link, rename);
  }

  #enslave(link: Link, master: string): void {
    if (link.master === master) return;
    this.#release(link);
    link.master = master;
    link.port = { learning: true, neighbourSuppression: false };
  }

  #release(link: Link): void {
    delete link.master;
    delete link.port;
    this.layer2.forgetPort(link.name);
  }

  #rename(link: Link, to: string): void {
    const from = link.name;
    for (const port of this.links) if (port.master === from) port.master = to;
    link.name = to;
    this.routing.rename(from, to);
    this.layer2.rename(from, to);
    for (const [key, value] of [...this.#sysctls]) {
      const [net, family, conf, name, setting] = key.split("/");
      if (conf !== "conf" || name !== from) continue;
      this.#sysctls.delete(key);
      this.#sysctls.set([net, family, conf, to, setting].join("/"), value);
    }
  }

  deleteLink(name: string): void {
    const link = this.#find(name);
    if (link === undefined) return;
    if (link.alias !== LINK_MARK) {
      throw new KernelError({ errno: EPERM, operation: "delete the link", object: name });
    }
    this.links.splice(this.links.indexOf(link), 1);
    for (const port of this.links) if (port.master === name) this.#release(port);
    const passthru = this.#passthru.get(name);
    if (passthru?.mac !== undefined) passthru.lower.mac = passthru.mac;
    this.#passthru.delete(name);
    this.layer2.forgetLink(name, link.index);
    this.routing.settle();
    for (const key of this.#sysctls.keys()) if (key.split("/")[3] === name) this.#sysctls.delete(key);
  }

  addAddress({ link: name, address, peer }: StepOf<"address.add">): void {
    const link = this.need(name, `add ${address} to`);
    if (link.addresses.includes(address)) return;
    link.addresses = withAddress(link.addresses, address);
    if (peer !== undefined) link.peers = { ...link.peers, [address]: peer };
  }

  deleteAddress(name: string, address: Cidr): void {
    const link = this.#find(name);
    if (link === undefined) return;
    link.addresses = withoutAddress(link.addresses, address);
    const peers = Object.entries(link.peers ?? {}).filter(([one]) => link.addresses.includes(one as Cidr));
    const advertised = link.advertised?.filter((one) => link.addresses.includes(one)) ?? [];
    if (advertised.length > 0) link.advertised = advertised;
    else delete link.advertised;
    if (peers.length > 0) link.peers = Object.fromEntries(peers);
    else delete link.peers;
    this.routing.settle();
  }

  addNeighbour({ link, ip, mac }: StepOf<"neighbour.add">): void {
    this.layer2.addNeighbour(this.need(link, "add a neighbour on").name, ip, mac);
  }

  addFdbEntry({ port, mac }: StepOf<"fdb.add">): void {
    const operation = "add a forwarding entry behind";
    if (this.need(port, operation).port === undefined) {
      throw new KernelError({ errno: EINVAL, operation, object: port });
    }
    this.layer2.addFdbEntry(port, mac);
  }

  setRedirect({ link, redirect }: StepOf<"redirect.set">): void {
    for (const name of [link, redirect.to]) this.need(name, "redirect what enters");
    this.layer2.setRedirect(link, redirect);
  }

  sysctl(key: string): string | undefined {
    if (!/^net(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$/.test(key)) {
      throw new KernelError({ errno: EINVAL, operation: "read the setting", object: key });
    }
    const [, family, conf, link] = key.split("/");
    const known =
      conf === "conf" &&
      (link === "all" || link === "default" || this.links.some(({ name }) => name === link));
    const initial = known ? LINK_SYSCTLS[`${family}/conf/*/${key.split("/")[4]}`] : undefined;
    return this.#sysctls.get(key) ?? initial;
  }

  setSysctl(key: string, value: string): void {
    if (this.sysctl(key) === undefined) {
      throw new KernelError({ errno: ENOENT, operation: "change the setting", object: key });
    }
    this.#sysctls.set(key, value);
  }

  replaceTables(tables: readonly NftTable[]): void {
    // All or none, as a transaction.
    tables.forEach(refuseForeign);
    for (const table of tables) renderTable(table);
    for (const table of tables) this.tables.set(idOf(table), structuredClone(table));
    this.generation += 1;
  }

  deleteTables(tables: readonly NftTableId[]): void {
    tables.forEach(refuseForeign);
    for (const table of tables) this.tables.delete(idOf(table));
    this.generation += 1;
  }

  counters(id: NftTableId): Readonly<Record<string, { readonly packets: number; readonly bytes: number }>> {
    const table = this.tables.get(idOf(id));
    if (table === undefined) {
      throw new KernelError({ errno: ENOENT, operation: "read the counters of table", object: idOf(id) });
    }
    return Object.fromEntries(table.counters.map(({ name }) => [name, { packets: 0, bytes: 0 }]));
  }

  #make(link: Pick<Link, "name" | "type" | "mtu"> & Partial<Link>, operation: string): void {
    const there = this.#own(link.name, link.type, operation);
    if (there === undefined) this.#add(link);
    else Object.assign(there, link);
  }

  #add(link: Omit<ObservedLink, "index" | "up" | "alias" | "addresses">): void {
    this.links.push({ index: this.#next(), up: false, alias: LINK_MARK, addresses: [], ...link });
  }

  #own(name: string, type: string, operation: string): Link | undefined {
    const link = this.#find(name);
    if (link === undefined || (link.alias === LINK_MARK && link.type === type)) return link;
    throw new KernelError({ errno: EEXIST, operation, object: name });
  }

  need(name: string, operation: string): Link {
    const link = this.#find(name);
    if (link === undefined) throw new KernelError({ errno: ENODEV, operation, object: name });
    return link;
  }

  #find(name: string): Link | undefined {
    if (!isLinkName(name)) {
      throw new KernelError({ errno: EINVAL, operation: "look for the link", object: JSON.stringify(name) });
    }
    return this.links.find((link) => link.name === name);
  }

  #next(): number {
    this.#lastIndex += 1;
    return this.#lastIndex;
  }

  #randomMac(): Mac {
    const tail = (this.#lastIndex + 1).toString(16).padStart(4, "0");
    return parseMac(`0a:58:00:00:${tail.slice(0, 2)}:${tail.slice(2)}`) as Mac;
  }
}

function idOf({ family, name }: NftTableId): string {
  return `${family} ${name}`;
}
