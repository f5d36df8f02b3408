/**
 * One change of the machine, as data. A step without an executor does not compile (`Executors` in
 * apply/ports.ts), and one without an inverse neither (`plan/undo.ts`).
 */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { NftTable, NftTableId } from "../nft/model.ts";
import type { ObservedRoute } from "./observed.ts";
import type { BridgePortPlan, MacvlanMode, ParkKind, RedirectPlan } from "./plan.ts";

export interface StepArgs {
  "bridge.add": { readonly name: string; readonly mac?: Mac; readonly mtu: number };
  "tap.add": {
    readonly name: string;
    readonly uid: number;
    readonly multiQueue: boolean;
    readonly mtu: number;
  };
  /** A link that is never up and only holds addresses. */
  "park.add": { readonly name: string; readonly kind: ParkKind; readonly mac: Mac; readonly mtu: number };
  /** On top of `lower`, a link of the same namespace; `tap`: a macvtap, whose character device the guest opens. */
  "macvlan.add": {
    readonly name: string;
    readonly lower: string;
    readonly mode: MacvlanMode;
    readonly tap: boolean;
    readonly mac: Mac;
    readonly mtu: number;
  };
  /** Only the named properties change, all in one message. */
  "link.set": { readonly name: string; readonly changes: LinkChanges };
  "link.delete": { readonly name: string };
  /** `peer`: the other end of a point-to-point address. */
  "address.add": {
    readonly link: string;
    readonly address: Cidr;
    readonly peer?: Ip;
    /** IPv6 on a link that stays down: not proven, so the kernel does not take the address for its own. */
    readonly tentative?: true;
  };
  "address.delete": { readonly link: string; readonly address: Cidr; readonly peer?: Ip };
  /** In the main table. Of a multipath route, one hop. */
  "route.add": { readonly route: ObservedRoute };
  "route.delete": { readonly route: ObservedRoute };
  /** A permanent neighbour entry, v4 or v6. */
  "neighbour.add": { readonly link: string; readonly ip: Ip; readonly mac: Mac };
  "neighbour.delete": { readonly link: string; readonly ip: Ip };
  /** A static entry of the bridge's forwarding table: this MAC is behind this port. */
  "fdb.add": { readonly port: string; readonly mac: Mac };
  "fdb.delete": { readonly port: string; readonly mac: Mac };
  /** Replaces whatever of ours takes frames off this link's ingress. */
  "redirect.set": { readonly link: string; readonly redirect: RedirectPlan };
  "redirect.delete": { readonly link: string };
  "sysctl.set": { readonly key: string; readonly value: string };
  /**
   * One transaction for all tables. `fresh`: none is believed to be there, which spares the kernel a deletion and
   * its grace period; where the belief is wrong they are replaced all the same.
   */
  "nft.replace": { readonly tables: readonly NftTable[]; readonly fresh?: true };
  "nft.delete": { readonly tables: readonly NftTableId[] };
}

export interface LinkChanges {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: Mac;
  /** null releases a port from its bridge. */
  readonly master?: string | null;
  readonly rename?: string;
  /** Of the port that the link is, or becomes by `master`. */
  readonly port?: BridgePortPlan;
}

export type StepOp = keyof StepArgs;
export type StepOf<O extends StepOp> = { readonly op: O } & Readonly<StepArgs[O]>;
export type Step = { [O in StepOp]: StepOf<O> }[StepOp];
