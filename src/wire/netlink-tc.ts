/**
 * Traffic control over rtnetlink (include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h): the
 * clsact qdisc and the filters at a link's ingress as values ⇄ bytes.
 *
 *   tcmsg  family u8, padding 3 | ifindex i32 | handle u32 | parent u32 | priority << 16, protocol be16
 *
 * u32 compares 32-bit words of the frame in network order, offsets counted from the network header: the Ethernet
 * header is at -14.
 */
import { putU16, putU32 } from "./bytes.ts";
import {
  type Attributes,
  attribute,
  concat,
  decodeAttributes,
  nested,
  readText,
  readU32,
  textAttribute,
  u32Attribute,
  viewOf,
} from "./netlink.ts";

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

/** Parents of filters. */
export const INGRESS = 0xfffffff2;
export const EGRESS = 0xfffffff3;
/** Any EtherType, as a filter's protocol. */
export const ETH_P_ALL = 0x0003;

const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const TCMSG = 20;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF = { fd: 6, name: 7, flags: 8 } as const;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const TCA_U32 = { classid: 1, sel: 5, act: 7 } as const;
const TC_U32_TERMINAL = 1;
const TC_U32_SEL = 16;
const TC_U32_KEY = 16;
const TCA_MATCHALL = { classid: 1, act: 2 } as const;
const TCA_ACT = { kind: 1, options: 2, cookie: 6 } as const;
const TCA_MIRRED_PARMS = 2;
const TC_MIRRED = 28;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;

export interface FilterPlace {
  /** ifindex. */
  readonly link: number;
  /** Lower ones are asked first; each holds filters of one kind and one protocol. */
  readonly priority: number;
  /** An EtherType, or ETH_P_ALL. */
  readonly protocol: number;
  /** 0: the kernel chooses; for u32 only the low 12 bits are ours to choose. */
  readonly handle: number;
}

export interface U32Key {
  /** From the network header. */
  readonly at: number;
  readonly mask: number;
  readonly value: number;
}

/** `mirred egress redirect`. */
export interface Mirred {
  /** ifindex. */
  readonly to: number;
  /** At most 16 bytes that the kernel keeps for us. */
  readonly cookie: Uint8Array;
}

/** Without an action a filter that matches ends the asking, and the frame goes on to the stack. */
export type FilterMatch =
  | { readonly kind: "bpf"; readonly name: string; readonly fd: number }
  | {
      readonly kind: "u32";
      readonly classid: number;
      readonly keys: readonly U32Key[];
      readonly action?: Mirred;
    }
  | { readonly kind: "matchall"; readonly classid: number; readonly action?: Mirred };

export interface FilterInfo extends FilterPlace {
  readonly kind: string;
  /** bpf's. */
  readonly name?: string;
  /** Of u32 and matchall. */
  readonly classid?: number;
  /** The first action, if it is mirred; `to` is 0 where the link is gone. */
  readonly action?: Mirred;
}

/** Payload that adds clsact, and, by the same place, one that deletes whatever sits at the ingress hook. */
export function encodeClsact(link: number): Uint8Array {
  return concat(tcmsg(link, CLSACT_HANDLE, TC_H_CLSACT, 0), textAttribute(TCA_KIND, "clsact"));
}

export function encodeFilter(place: FilterPlace, match: FilterMatch): Uint8Array {
  return concat(
    encodeFilterPlace(place),
    textAttribute(TCA_KIND, match.kind),
    nested(TCA_OPTIONS, ...optionsOf(match)),
  );
}

/** Payload that deletes the filter. */
export function encodeFilterPlace({ link, handle, priority, protocol }: FilterPlace): Uint8Array {
  return tcmsg(link, handle, INGRESS, infoOf(priority, protocol));
}

/** Payload of a dump of one hook's filters. */
export function encodeFilterQuestion(link: number, parent: number): Uint8Array {
  return tcmsg(link, 0, parent, 0);
}

/** undefined for what is no filter: the hash tables that u32 tells of, and the head of each priority. */
export function decodeFilter(payload: Uint8Array): FilterInfo | undefined {
  const view = viewOf(payload);
  const attributes = decodeAttributes(payload.subarray(TCMSG));
  const kind = readText(attributes.get(TCA_KIND) ?? new Uint8Array());
  const options = decodeAttributes(attributes.get(TCA_OPTIONS) ?? new Uint8Array());
  if (options.size === 0 || (kind === "u32" && !options.has(TCA_U32.sel))) return undefined;
  const info = view.getUint32(16, true);
  const name = kind === "bpf" ? options.get(TCA_BPF.name) : undefined;
  const numbers = { u32: TCA_U32, matchall: TCA_MATCHALL }[kind];
  const classid = numbers === undefined ? undefined : readU32(options.get(numbers.classid));
  const action = numbers === undefined ? undefined : decodeActions(options.get(numbers.act));
  return {
    link: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    priority: info >>> 16,
    protocol: swap16(info & 0xffff),
    kind,
    ...(name !== undefined && { name: readText(name) }),
    ...(classid !== undefined && { classid }),
    ...(action !== undefined && { action }),
  };
}

function optionsOf(match: FilterMatch): readonly Uint8Array[] {
  switch (match.kind) {
    case "bpf":
      return [
        u32Attribute(TCA_BPF.fd, match.fd),
        textAttribute(TCA_BPF.name, match.name),
        u32Attribute(TCA_BPF.flags, TCA_BPF_FLAG_ACT_DIRECT),
      ];
    case "u32":
      return [
        u32Attribute(TCA_U32.classid, match.classid),
        attribute(TCA_U32.sel, encodeSelector(match.keys)),
        ...actionsOf(TCA_U32.act, match.action),
      ];
    case "matchall":
      return [
        u32Attribute(TCA_MATCHALL.classid, match.classid),
        ...actionsOf(TCA_MATCHALL.act, match.action),
      ];
  }
}

function encodeSelector(keys: readonly U32Key[]): Uint8Array {
  const bytes = new Uint8Array(TC_U32_SEL + keys.length * TC_U32_KEY);
  bytes[0] = TC_U32_TERMINAL;
  bytes[2] = keys.length;
  const view = viewOf(bytes);
  keys.forEach(({ at, mask, value }, i) => {
    const start = TC_U32_SEL + i * TC_U32_KEY;
    putU32(bytes, start, mask >>> 0);
    putU32(bytes, start + 4, value >>> 0);
    view.setInt32(start + 8, at, true);
  });
  return bytes;
}

function actionsOf(type: number, action: Mirred | undefined): readonly Uint8Array[] {
  if (action === undefined) return [];
  const parameters = new Uint8Array(TC_MIRRED);
  const view = viewOf(parameters);
  view.setInt32(8, TC_ACT_STOLEN, true);
  view.setInt32(20, TCA_EGRESS_REDIR, true);
  view.setUint32(24, action.to, true);
  return [
    nested(
      type,
      nested(
        1,
        textAttribute(TCA_ACT.kind, "mirred"),
        attribute(TCA_ACT.cookie, action.cookie),
        nested(TCA_ACT.options, attribute(TCA_MIRRED_PARMS, parameters)),
      ),
    ),
  ];
}

function decodeActions(value: Uint8Array | undefined): Mirred | undefined {
  const first = decodeAttributes(value ?? new Uint8Array()).get(1);
  if (first === undefined) return undefined;
  const action: Attributes = decodeAttributes(first);
  if (readText(action.get(TCA_ACT.kind) ?? new Uint8Array()) !== "mirred") return undefined;
  const parameters = decodeAttributes(action.get(TCA_ACT.options) ?? new Uint8Array()).get(TCA_MIRRED_PARMS);
  if (parameters === undefined || parameters.length < TC_MIRRED) return undefined;
  return {
    to: viewOf(parameters).getUint32(24, true),
    cookie: (action.get(TCA_ACT.cookie) ?? new Uint8Array()).slice(),
  };
}

function tcmsg(link: number, handle: number, parent: number, info: number): Uint8Array {
  const bytes = new Uint8Array(TCMSG);
  const view = viewOf(bytes);
  view.setInt32(4, link, true);
  view.setUint32(8, handle, true);
  view.setUint32(12, parent, true);
  view.setUint32(16, info, true);
  return bytes;
}

/** The protocol is in network order within a number of the host's. */
function infoOf(priority: number, protocol: number): number {
  return ((priority << 16) | swap16(protocol)) >>> 0;
}

function swap16(value: number): number {
  const bytes = new Uint8Array(2);
  putU16(bytes, 0, value);
  return viewOf(bytes).getUint16(0, true);
}
