/** What a user has to know of this NIC, and would otherwise find out by looking for packets. */
import { HOST_ACCESS_ANNOTATION } from "../../api/annotations.ts";
import { podAddressNotes } from "../../plan/parts/pod-address-services.ts";
import { handedOver } from "../../plan/parts/pod-addresses.ts";
import { portSecurityNotes } from "../../plan/parts/port-security.ts";
import { wantsHostAccess } from "./host-access.ts";
import { passesPodNic } from "./mode.ts";
import type { Wiring } from "./wiring.ts";

export function notesOf(wiring: Wiring): readonly string[] {
  const { nic, mode, addresses, served, external } = wiring;
  const pod = nic.names.podInterface;
  const given = handedOver(addresses);
  const unserved = given.length > 0 && !served && !external;
  return [
    ...(external
      ? [`addresses are the network's business: DHCP and router advertisements pass ${pod} unfiltered`]
      : podAddressNotes(nic, addresses)),
    ...(unserved
      ? [`mode ${mode}: podtap cannot answer the guest, which has to give itself ${given.join(" and ")}`]
      : []),
    ...portSecurityNotes(nic),
    ...(passesPodNic(nic)
      ? []
      : [
          wantsHostAccess(nic)
            ? "the host has a link of its own beside the guest's: either may speak with the other's services"
            : `the host itself and this guest do not hear each other over the host's interface: macvlan keeps them apart, unless ${HOST_ACCESS_ANNOTATION} is "true"`,
        ]),
    ...(nic.vm.features.dummy
      ? []
      : [`this kernel has no dummy: a bridge without ports keeps ${pod}'s name and addresses`]),
  ];
}
