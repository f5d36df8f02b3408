/** RTM_*LINK messages (include/uapi/linux/if_link.h): a link's properties as values ⇄ bytes. */
import { type Mac, macFromBytes, macToBytes } from "../base/mac.ts";
import {
  type Attributes,
  attribute,
  concat,
  decodeAttributes,
  nested,
  readText,
  readU8,
  readU32,
  textAttribute,
  u8Attribute,
  u32Attribute,
  viewOf,
} from "./netlink.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

const IFF_UP = 1;
const IFF_ALLMULTI = 0x200;
const IFINFOMSG = 16;
const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkinfo: 18,
  alias: 20,
  netnsFd: 28,
  extMask: 29,
  linkNetnsid: 37,
} as const;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT = { learning: 8, neighbourSuppression: 32 } as const;
const IFLA_MACVLAN_MODE = 1;
/** enum macvlan_mode. */
const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const IFLA_TUN = { owner: 1, type: 3, multiQueue: 7 } as const;
const IFF_TAP = 2;
const IFLA_BR_MCAST_SNOOPING = 23;
const VETH_INFO_PEER = 1;
/** Leaves the counters of IPv6 out of an answer: half of its bytes. */
const RTEXT_FILTER_SKIP_STATS = 8;

export interface LinkInfo {
  readonly index: number;
  readonly name: string;
  /** IFLA_INFO_KIND; empty for physical NICs and lo. */
  readonly type: string;
  readonly mac?: Mac;
  readonly mtu: number;
  readonly up: boolean;
  /** ifindex of the bridge it is a port of. */
  readonly master?: number;
  readonly alias?: string;
  /** Only of a tun device in tap mode. uid is -1 where anybody may attach. */
  readonly tap?: { readonly uid: number; readonly multiQueue: boolean };
  /** Only of a bridge port. */
  readonly port?: Required<PortFlags>;
  /** Only of a veth: its other end is in another namespace (IFLA_LINK_NETNSID). */
  readonly peerElsewhere?: true;
  /** Only of a macvlan or macvtap. */
  readonly macvlan?: { readonly mode: MacvlanModeName };
}

export interface PortFlags {
  readonly learning?: boolean;
  readonly neighbourSuppression?: boolean;
}

export type MacvlanModeName = keyof typeof MACVLAN_MODES;

/** What is to become of a link; what is absent stays. */
export interface LinkSettings {
  readonly name?: string;
  readonly up?: boolean;
  /** Every multicast frame is taken, not only those that somebody on this host listens to. */
  readonly allMulticast?: true;
  readonly mtu?: number;
  readonly mac?: Mac;
  readonly alias?: string;
  /** ifindex; 0 releases the port. */
  readonly master?: number;
}

/** Payload of a request that changes the link of that index or, with index 0, the one of that name. */
export function encodeLinkSettings(index: number, settings: LinkSettings): Uint8Array {
  const { name, up, allMulticast, mtu, mac, alias, master } = settings;
  return concat(
    ifinfomsg(index, up, allMulticast),
    ...(name === undefined ? [] : [textAttribute(IFLA.ifname, name)]),
    ...(mtu === undefined ? [] : [u32Attribute(IFLA.mtu, mtu)]),
    ...(mac === undefined ? [] : [attribute(IFLA.address, macToBytes(mac))]),
    ...(alias === undefined ? [] : [attribute(IFLA.alias, new TextEncoder().encode(alias))]),
    ...(master === undefined ? [] : [u32Attribute(IFLA.master, master)]),
  );
}

/**
 * Payload that makes a bridge. Multicast snooping is off: with a single guest behind it there is nothing to save,
 * and without a querier a snooping bridge would forget who listens (neighbour discovery is multicast).
 */
export function encodeNewBridge(name: string, mac: Mac | undefined): Uint8Array {
  return concat(
    encodeLinkSettings(0, { name, ...(mac !== undefined && { mac }) }),
    nested(
      IFLA.linkinfo,
      textAttribute(IFLA_INFO_KIND, "bridge"),
      nested(IFLA_INFO_DATA, u8Attribute(IFLA_BR_MCAST_SNOOPING, 0)),
    ),
  );
}

/** Payload that makes a link of a kind that needs no data: `dummy`. */
export function encodeNewPlainLink(kind: string, link: { name: string; mac: Mac; mtu: number }): Uint8Array {
  return concat(encodeLinkSettings(0, link), nested(IFLA.linkinfo, textAttribute(IFLA_INFO_KIND, kind)));
}

export interface NewMacvlan {
  readonly kind: "macvlan" | "macvtap";
  readonly name: string;
  /** ifindex. */
  readonly lower: number;
  readonly mode: MacvlanModeName;
  readonly mac: Mac;
  readonly mtu: number;
}

/**
 * Payload that makes a macvlan or macvtap. Who listens behind a macvtap is another kernel, whose groups this one does
 * not know: macvlan would keep neighbour solicitations from it (macvlan_multicast_rx asks mc_filter).
 */
export function encodeNewMacvlan({ kind, name, lower, mode, mac, mtu }: NewMacvlan): Uint8Array {
  return concat(
    encodeLinkSettings(0, { name, mac, mtu, ...(kind === "macvtap" && { allMulticast: true }) }),
    u32Attribute(IFLA.link, lower),
    nested(
      IFLA.linkinfo,
      textAttribute(IFLA_INFO_KIND, kind),
      nested(IFLA_INFO_DATA, u32Attribute(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode])),
    ),
  );
}

/**
 * Payload of an RTM_NEWLINK that changes a bridge port's flags. Only RTM_NEWLINK heeds them (rtnl_changelink), and it
 * asks the bridge that the link is a port of already, so it cannot go in one message with IFLA_MASTER.
 */
export function encodePortFlags(name: string, flags: PortFlags): Uint8Array {
  const data = (["learning", "neighbourSuppression"] as const).flatMap((flag) =>
    flags[flag] === undefined ? [] : [u8Attribute(IFLA_BRPORT[flag], flags[flag] ? 1 : 0)],
  );
  return concat(
    encodeLinkSettings(0, { name }),
    nested(
      IFLA.linkinfo,
      textAttribute(IFLA_INFO_SLAVE_KIND, "bridge"),
      nested(IFLA_INFO_SLAVE_DATA, ...data),
    ),
  );
}

export interface VethEnd {
  readonly name: string;
  readonly mac?: Mac;
  readonly mtu?: number;
}

/** Payload that makes a veth pair, the peer straight in the namespace that the descriptor stands for. */
export function encodeNewVeth(end: VethEnd, peer: VethEnd, peerNetns?: number): Uint8Array {
  return concat(
    encodeLinkSettings(0, end),
    nested(
      IFLA.linkinfo,
      textAttribute(IFLA_INFO_KIND, "veth"),
      nested(
        IFLA_INFO_DATA,
        attribute(
          VETH_INFO_PEER,
          concat(
            encodeLinkSettings(0, peer),
            ...(peerNetns === undefined ? [] : [u32Attribute(IFLA.netnsFd, peerNetns)]),
          ),
        ),
      ),
    ),
  );
}

/** Payload of a question for one link by name, or of a dump without one. */
export function encodeLinkQuestion(name?: string): Uint8Array {
  return concat(
    ifinfomsg(0, undefined),
    u32Attribute(IFLA.extMask, RTEXT_FILTER_SKIP_STATS),
    ...(name === undefined ? [] : [textAttribute(IFLA.ifname, name)]),
  );
}

/** Payload of RTM_DELLINK. */
export function encodeLinkIndex(index: number): Uint8Array {
  return ifinfomsg(index, undefined);
}

export function decodeLink(payload: Uint8Array): LinkInfo {
  const view = viewOf(payload);
  const attributes = decodeAttributes(payload.subarray(IFINFOMSG));
  const info = decodeAttributes(attributes.get(IFLA.linkinfo) ?? new Uint8Array());
  const kind = info.get(IFLA_INFO_KIND);
  const type = kind === undefined ? "" : readText(kind);
  const name = attributes.get(IFLA.ifname);
  const mac = attributes.get(IFLA.address);
  const alias = attributes.get(IFLA.alias);
  const master = readU32(attributes.get(IFLA.master));
  const data = info.get(IFLA_INFO_DATA);
  const tap = type === "tun" ? decodeTap(data) : undefined;
  const port = decodePort(info);
  const macvlan = type === "macvlan" || type === "macvtap" ? decodeMacvlan(data) : undefined;
  return {
    index: view.getInt32(4, true),
    name: name === undefined ? "" : readText(name),
    type,
    ...(mac !== undefined && mac.length === 6 && { mac: macFromBytes(mac) }),
    mtu: readU32(attributes.get(IFLA.mtu)) ?? 0,
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    ...(master !== undefined && { master }),
    ...(alias !== undefined && { alias: readText(alias) }),
    ...(tap !== undefined && { tap }),
    ...(port !== undefined && { port }),
    ...(type === "veth" && attributes.has(IFLA.linkNetnsid) && { peerElsewhere: true as const }),
    ...(macvlan !== undefined && { macvlan }),
  };
}

function decodePort(info: Attributes): Required<PortFlags> | undefined {
  const kind = info.get(IFLA_INFO_SLAVE_KIND);
  if (kind === undefined || readText(kind) !== "bridge") return undefined;
  const flags = decodeAttributes(info.get(IFLA_INFO_SLAVE_DATA) ?? new Uint8Array());
  return {
    learning: readU8(flags.get(IFLA_BRPORT.learning)) === 1,
    neighbourSuppression: readU8(flags.get(IFLA_BRPORT.neighbourSuppression)) === 1,
  };
}

function decodeMacvlan(data: Uint8Array | undefined): LinkInfo["macvlan"] {
  const value = readU32(decodeAttributes(data ?? new Uint8Array()).get(IFLA_MACVLAN_MODE));
  const mode = (Object.keys(MACVLAN_MODES) as MacvlanModeName[]).find(
    (name) => MACVLAN_MODES[name] === value,
  );
  return mode === undefined ? undefined : { mode };
}

function decodeTap(data: Uint8Array | undefined): LinkInfo["tap"] {
  const attributes = decodeAttributes(data ?? new Uint8Array());
  if (readU8(attributes.get(IFLA_TUN.type)) !== IFF_TAP) return undefined;
  return {
    uid: readU32(attributes.get(IFLA_TUN.owner)) ?? -1,
    multiQueue: readU8(attributes.get(IFLA_TUN.multiQueue)) === 1,
  };
}

function ifinfomsg(index: number, up: boolean | undefined, allMulticast?: true): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG);
  const view = viewOf(bytes);
  view.setInt32(4, index, true);
  const multicast = allMulticast ? IFF_ALLMULTI : 0;
  view.setUint32(8, (up === true ? IFF_UP : 0) | multicast, true);
  // Which flags are meant: none other is touched.
  view.setUint32(12, (up === undefined ? 0 : IFF_UP) | multicast, true);
  return bytes;
}
