/**
 * The host's own links beside its guests' (HostLinkPlan): made in the host's namespace after phase 1, undone before the
 * pod is taken down. What is done is journalled as in a pod, so that a daemon killed in between leaves nothing that the
 * next one cannot take back.
 *
 * Theory of operation. The host's address is on the device itself, which hears nothing of a macvlan on it. The new link
 * answers for that address too (ARP for any address of the host's, ND for those on the link itself, so the IPv6 one is
 * there twice), and nobody else may notice: to the network the host is where it was. So the link speaks to the guest's MAC only, whatever the stack
 * addressed, and hears the guest only.
 */

import { PodtapError } from "../base/errors.ts";
import { type Cidr, cidrContains, cidrIp, familyOf, type Ip, toCidr } from "../base/ip.ts";
import type { NftTable } from "../nft/model.ts";
import type { Observed } from "../plan/observed.ts";
import type { HostLinkPlan, Plan } from "../plan/plan.ts";
import type { Step } from "../plan/step.ts";
import { openJournal } from "./journal.ts";
import { observe } from "./observe.ts";
import type { Kernel } from "./ports.ts";
import { runSteps, undoAll } from "./run.ts";

/** @param kernel of the host's own namespace */
export function linkHost(kernel: Kernel, plan: Plan, journalPath: string): void {
  const links = plan.nics.flatMap(({ hostLink }) => (hostLink === undefined ? [] : [hostLink]));
  if (links.length === 0) return;
  // Left by a run that was cut short, or by the same run: made anew.
  const failures = unlinkHost(kernel, journalPath);
  if (failures.length > 0) throw failures[0];
  const before = observe(kernel);
  runSteps(
    kernel,
    links.flatMap((link) => hostSteps(link, before)),
    before,
    openJournal(journalPath),
  );
}

/** What could not be undone; nothing is left of the journal otherwise. */
export function unlinkHost(kernel: Kernel, journalPath: string): readonly unknown[] {
  const journal = openJournal(journalPath);
  const failures = undoAll(kernel, journal.undo);
  if (failures.length === 0) journal.remove();
  return failures;
}

function hostSteps(link: HostLinkPlan, before: Observed): readonly Step[] {
  const { name, lower, mac, mtu, reaches } = link;
  const own = before.links.find((one) => one.name === lower)?.addresses ?? [];
  return [
    { op: "macvlan.add", name, lower, mode: "bridge", tap: false, mac, mtu },
    { op: "nft.replace", tables: [onlyTheGuest(link)] },
    { op: "link.set", name, changes: { up: true } },
    ...reaches.flatMap((ip): readonly Step[] => {
      const source = sourceFor(ip, own, lower);
      const whole = familyOf(ip) === 4 ? 32 : 128;
      const route = { destination: toCidr(ip, whole), link: name, source };
      return [
        ...(whole === 128
          ? [{ op: "address.add" as const, link: name, address: toCidr(source, whole) }]
          : []),
        { op: "route.add", route },
      ];
    }),
  ];
}

/** The guest has to be able to answer, so it is an address of its own network. */
function sourceFor(ip: Ip, own: readonly Cidr[], lower: string): Ip {
  const near = own.find((address) => familyOf(address) === familyOf(ip) && cidrContains(address, ip));
  if (near !== undefined) return cidrIp(near);
  throw new PodtapError({
    code: "PT-APPLY-2",
    message: `the host has no address on ${lower} in the network of ${ip}, so it cannot speak with the guest there`,
    hint: `give ${lower} one, or leave out host access`,
    blame: "host",
    retry: "on-change",
  });
}

function onlyTheGuest({ name, guestMac }: HostLinkPlan): NftTable {
  const chain = (hook: "ingress" | "egress", rule: string): NftTable["chains"][number] => ({
    name: hook === "egress" ? "to_guest" : "from_guest",
    hook: { type: "filter", hook, device: name, priority: 0, policy: "accept" },
    rules: [rule],
  });
  return {
    family: "netdev",
    name: `podtap-${name}`,
    counters: [],
    sets: [],
    chains: [
      chain("egress", `ether daddr set ${guestMac}`),
      chain("ingress", `ether saddr != ${guestMac} drop`),
    ],
  };
}
