/**
 * What is said of NICs whose link was deleted under the running guest, by hand or with the device below a macvtap: a
 * condition, and an event when it is noticed. QEMU holds the link that it opened, and no hypervisor call gives it
 * another one for the same NIC: one made anew under the old name is nobody's until the VM starts anew. Pure.
 */
import type { Condition } from "../api/object.ts";
import { dropCondition, setCondition } from "./conditions.ts";

export interface LostLink {
  readonly nic: string;
  readonly link: string;
}

/** There while the guest has a NIC that leads nowhere, until it starts anew. */
export const GUEST_LINK_LOST = "GuestLinkLost";

export function withLostLinks(
  conditions: readonly Condition[],
  lost: readonly LostLink[],
  now: string,
): readonly Condition[] {
  if (lost.length === 0) return dropCondition(conditions, GUEST_LINK_LOST);
  const message = lost.map(sayLost).join("; ");
  return setCondition(
    conditions,
    { type: GUEST_LINK_LOST, status: "True", reason: "LinkDeleted", message },
    now,
  );
}

export function lostLinkEvents(
  before: readonly LostLink[] = [],
  now: readonly LostLink[] = [],
): readonly { readonly type: "Warning"; readonly reason: string; readonly message: string }[] {
  return now
    .filter(({ nic }) => !before.some((one) => one.nic === nic))
    .map((one) => ({ type: "Warning", reason: GUEST_LINK_LOST, message: sayLost(one) }));
}

export function sayLost({ nic, link }: LostLink): string {
  return `NIC ${nic} leads nowhere: its link ${link} was deleted under the guest, and a new one is joined only when the VM is stopped and started`;
}
