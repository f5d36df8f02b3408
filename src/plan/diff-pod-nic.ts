/**
 * The pod's own NIC, changed in place. It is found by its index: its name may be the park's by then. Everything here
 * has an inverse, for the NIC is CNI's and has to be given back as it was.
 */
import { portChanges } from "./diff-links.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import type { PodNicPlan } from "./plan.ts";
import type { LinkChanges, Step } from "./step.ts";

/** Addresses and routes off, name and MAC given up, before anything takes their place. */
export function stepAside(nic: PodNicPlan, observed: Observed): readonly Step[] {
  const there = findNic(nic, observed);
  const changes: LinkChanges = {
    ...(nic.mac !== undefined && there?.mac !== nic.mac && { mac: nic.mac }),
    ...(there !== undefined && there.name !== nic.name && { rename: nic.name }),
  };
  return [
    ...(nic.released && there !== undefined ? release(there, nic, observed) : []),
    ...(Object.keys(changes).length > 0
      ? [{ op: "link.set" as const, name: there?.name ?? nic.name, changes }]
      : []),
  ];
}

export function podNicSettings(nic: PodNicPlan, observed: Observed): readonly Step[] {
  const there = findNic(nic, observed);
  const changes: LinkChanges = { ...portChanges(nic, there), ...(there?.up !== true && { up: true }) };
  return Object.keys(changes).length > 0 ? [{ op: "link.set", name: nic.name, changes }] : [];
}

function release(there: ObservedLink, nic: PodNicPlan, observed: Observed): readonly Step[] {
  // Once it has stepped aside, the kernel may give it a link-local address of its own, which nobody hears of.
  const aside = there.name === nic.name && there.master === nic.master;
  return [
    ...observed.routes
      .filter((route) => route.link === there.name && !route.fromAddress)
      .map((route): Step => ({ op: "route.delete", route })),
    ...there.addresses
      .filter((address) => !(aside && address.startsWith("fe80:")))
      .map((address): Step => ({ op: "address.delete", link: there.name, address })),
  ];
}

function findNic(nic: PodNicPlan, observed: Observed): ObservedLink | undefined {
  return observed.links.find(({ index }) => index === nic.index);
}
