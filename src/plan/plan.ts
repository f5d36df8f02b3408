/**
 * Everything podtap decided about one pod's NICs, as a value: JSON types only, so that it can be printed,
 * stored, compared, replayed and undone. Phase 2, status, teardown and repair read the stored plan and never
 * compute it again.
 */
import type { Cidr, Ip } from "../base/ip.ts";
import type { Mac } from "../base/mac.ts";
import type { DomainInterface } from "../domain/interface.ts";
import type { GuestService } from "../guest/config.ts";
import type { NftTable } from "../nft/model.ts";

export interface BridgePlan {
  readonly type: "bridge";
  readonly name: string;
  readonly mac?: Mac;
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
}

export interface TapPlan {
  readonly type: "tap";
  readonly name: string;
  readonly mtu: number;
  readonly master?: string;
  /** Who may open it: the launcher. */
  readonly uid: number;
  readonly multiQueue: boolean;
}

export type LinkPlan = BridgePlan | TapPlan;

export interface SysctlPlan {
  /** Below /proc/sys: `net/ipv4/ip_forward`. */
  readonly key: string;
  readonly value: string;
}

/** What users and Services may reach, and what the guest and the pod are called. For status and `describe`. */
export interface NicAddresses {
  readonly pod: readonly Ip[];
  readonly guest: readonly Ip[];
}

export interface NicPlan {
  readonly name: string;
  readonly bindingName: string;
  readonly podInterface: string;
  readonly addresses: NicAddresses;
  readonly mac: Mac;
  readonly macOrigin: "spec" | "derived" | "pod";
  /** In the order they are made. */
  readonly links: readonly LinkPlan[];
  readonly sysctls: readonly SysctlPlan[];
  readonly nft: readonly NftTable[];
  readonly services: readonly GuestService[];
  readonly domain: DomainInterface;
  /** The link at whose carrier and counters the guest is seen. */
  readonly guestLink: string;
  /** Choices made because of the host or the manifest, for people: "no IPv6: the pod has none". */
  readonly notes: readonly string[];
}

export interface Plan {
  readonly version: 1;
  readonly vmi: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly nics: readonly NicPlan[];
}
