/**
 * One change of the machine, as data. A step without an executor does not compile (`Executors` in
 * apply/ports.ts), and one without an inverse neither (`plan/undo.ts`).
 */
import type { Cidr } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { NftTable, NftTableId } from "../nft/model.ts";

export interface StepArgs {
  "bridge.add": { readonly name: string; readonly mac?: Mac; readonly mtu: number };
  "tap.add": {
    readonly name: string;
    readonly uid: number;
    readonly multiQueue: boolean;
    readonly mtu: number;
  };
  /** Only the named properties change, all in one message. */
  "link.set": { readonly name: string; readonly changes: LinkChanges };
  "link.delete": { readonly name: string };
  "address.add": { readonly link: string; readonly address: Cidr };
  "address.delete": { readonly link: string; readonly address: Cidr };
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
}

export type StepOp = keyof StepArgs;
export type StepOf<O extends StepOp> = { readonly op: O } & Readonly<StepArgs[O]>;
export type Step = { [O in StepOp]: StepOf<O> }[StepOp];
