/** Everything about the NIC that was decided before the plan is put together. */
import type { Mac } from "../../base/mac.ts";
import type { NicContext } from "../../plan/binding.ts";
import type { PodAddresses } from "../../plan/parts/pod-addresses.ts";
import type { MacvlanMode } from "../../plan/plan.ts";

export interface Wiring {
  readonly nic: NicContext;
  readonly mode: MacvlanMode;
  readonly mac: Mac;
  readonly podNicMac: Mac;
  readonly addresses: PodAddresses;
  /** By podtap, over a sibling, rather than by the network. */
  readonly served: boolean;
  readonly external: boolean;
}
