/**
 * Redirects at a link's ingress, over its namespace's rtnetlink socket.
 *
 * Theory of operation. The filters hang in the link's clsact qdisc, at priorities of podtap's own. An eBPF filter is
 * one message, which replaces the one before it at a stroke; u32 and matchall take one a rule, and are removed and
 * added anew: in between frames are left to the stack, where the NIC's nft table drops them.
 *
 * The mark by which podtap knows its own, and what the filters were made from: an eBPF filter's name, and the class
 * and the action's cookie of the others. The target's ifindex is in the program, or in the action, so a link that was
 * made anew under its old name is told from the one that the filters mean.
 *
 * Other people's filters and a qdisc that holds some stay. A clsact that is empty afterwards goes: it does nothing.
 */
import { closeSync } from "node:fs";
import type { Observed, ObservedRedirect } from "../plan/observed.ts";
import type { Classifier, RedirectPlan } from "../plan/plan.ts";
import { redirectDigest } from "../plan/redirect-digest.ts";
import type { StepOf } from "../plan/step.ts";
import { putU16, u16 } from "../wire/bytes.ts";
import { assemble } from "../wire/ebpf.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../wire/netlink.ts";
import { decodeLink, encodeLinkQuestion, RTM_GETLINK } from "../wire/netlink-link.ts";
import {
  decodeFilter,
  EGRESS,
  ETH_P_ALL,
  encodeClsact,
  encodeFilter,
  encodeFilterPlace,
  encodeFilterQuestion,
  type FilterInfo,
  type FilterMatch,
  type FilterPlace,
  INGRESS,
  RTM_DELQDISC,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
} from "../wire/netlink-tc.ts";
import { loadClassifier } from "./bpf.ts";
import { EEXIST, EINVAL, ENODEV, ENOENT, KernelError } from "./errno.ts";
import { findLink, needLink } from "./links.ts";
import type { Change } from "./netlink-socket.ts";
import { redirectProgram } from "./redirect-program.ts";
import { redirectRules } from "./redirect-rules.ts";
import { ARP, IPV4, IPV6 } from "./redirect-traffic.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

/** A filter of one kind and protocol each; "pt" in ASCII, below what the kernel hands out (0xc000 and down). */
const PRIORITY = 0x7074;
const PRIORITIES: ReadonlyMap<number, number> = new Map([
  [ETH_P_ALL, PRIORITY + 3],
  [IPV4, PRIORITY],
  [IPV6, PRIORITY + 1],
  [ARP, PRIORITY + 2],
]);
const BPF_PRIORITY = PRIORITY + 4;
const OWN_PRIORITIES: readonly number[] = [...PRIORITIES.values(), BPF_PRIORITY];
/** Major number "pt": the class of everything of ours. */
const CLASS = 0x70740001;
const NAME = /^podtap (\d+) ([0-9a-f]{24})$/;
const DIGEST_BYTES = 12;
const OPERATION = "redirect the frames of";

export function setRedirect(
  rtnetlink: Rtnetlink,
  { link: name, redirect }: Pick<StepOf<"redirect.set">, "link" | "redirect">,
): void {
  const link = needLink(rtnetlink, name, OPERATION).index;
  const to = needLink(rtnetlink, redirect.to, OPERATION).index;
  const there = filtersOf(rtnetlink, link, INGRESS, name);
  refuseForeign(there, name);
  const own = there.filter(isOwn);
  const add = (match: FilterMatch, place: Omit<FilterPlace, "link">): Change => ({
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE,
    payload: encodeFilter({ ...place, link }, match),
    operation: `${OPERATION} (${match.kind})`,
    object: name,
  });
  const clsact: Change = {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encodeClsact(link),
    operation: "add the clsact qdisc to",
    object: name,
    accept: [EEXIST],
  };
  if (redirect.classifier === "bpf") {
    const outdated = own.filter(({ kind }) => kind !== "bpf").map((filter) => removal(filter, name));
    const fd = loadClassifier(assemble(redirectProgram(redirect, to)), "podtap_redirect");
    try {
      const match = { kind: "bpf", name: `podtap ${to} ${redirectDigest(redirect)}`, fd } as const;
      rtnetlink.change(
        clsact,
        add(match, { priority: BPF_PRIORITY, protocol: ETH_P_ALL, handle: 1 }),
        ...outdated,
      );
    } finally {
      closeSync(fd);
    }
    return;
  }
  const matches = matchesOf(redirect, to);
  rtnetlink.change(
    clsact,
    ...own.map((filter) => removal(filter, name)),
    ...matches.map(([match, place]) => add(match, place)),
  );
}

export function deleteRedirect(rtnetlink: Rtnetlink, name: string): void {
  const link = findLink(rtnetlink, name)?.index;
  if (link === undefined) return;
  const own = filtersOf(rtnetlink, link, INGRESS, name).filter(isOwn);
  if (own.length === 0) return;
  rtnetlink.change(...own.map((filter) => removal(filter, name)));
  const rest = [INGRESS, EGRESS].flatMap((hook) => filtersOf(rtnetlink, link, hook, name));
  if (rest.length > 0) return;
  rtnetlink.change({
    type: RTM_DELQDISC,
    payload: encodeClsact(link),
    operation: "remove the clsact qdisc of",
    object: name,
    // An `ingress` qdisc is somebody else's.
    accept: [ENOENT, EINVAL],
  });
}

export function readRedirects(rtnetlink: Rtnetlink, names: readonly string[]): Observed["redirects"] {
  const links = rtnetlink.dump(RTM_GETLINK, encodeLinkQuestion(), "links").map(decodeLink);
  const nameOf = (index: number): string => links.find((link) => link.index === index)?.name ?? `if${index}`;
  return Object.fromEntries(
    names.map((name): [string, ObservedRedirect | null] => {
      const link = links.find((one) => one.name === name);
      const own = link === undefined ? [] : filtersOf(rtnetlink, link.index, INGRESS, name).filter(isOwn);
      return [name, redirectOf(own, nameOf)];
    }),
  );
}

/** What this kernel has, best first, tried on a link of a namespace made for it: `lo` will do. */
export function probeClassifiers(rtnetlink: Rtnetlink, link: string): readonly Classifier[] {
  return (["bpf", "matchall", "u32"] as const).filter((classifier) => {
    try {
      setRedirect(rtnetlink, {
        link,
        redirect: { to: link, classifier, local: [{ family: 4, udpDestination: 67 }] },
      });
      deleteRedirect(rtnetlink, link);
      return true;
    } catch (thrown) {
      if (thrown instanceof KernelError) return false;
      throw thrown;
    }
  });
}

/** @throws KernelError where it cannot: the verifier does not know the helper. */
export function canRedirectPeer(): void {
  closeSync(loadClassifier(assemble(redirectProgram({ local: [], intoPeer: true }, 1)), "podtap_probe"));
}

type Placed = readonly [FilterMatch, Omit<FilterPlace, "link">];

function matchesOf(redirect: RedirectPlan, to: number): readonly Placed[] {
  const rules = redirectRules(redirect);
  const cookie = cookieOf(redirectDigest(redirect), rules.length);
  return rules.map((rule): Placed => {
    const { protocol, keys } = rule;
    const priority = PRIORITIES.get(protocol) ?? PRIORITY;
    const action = rule.redirect ? { action: { to, cookie } } : {};
    // The catch-all is the one rule that matchall can say.
    if (protocol === ETH_P_ALL && keys.length === 0 && redirect.classifier === "matchall") {
      return [
        { kind: "matchall", classid: CLASS, ...action },
        { priority, protocol, handle: 0 },
      ];
    }
    const whole = keys.length === 0 ? [{ at: 0, mask: 0, value: 0 }] : keys;
    return [
      { kind: "u32", classid: CLASS, keys: whole, ...action },
      { priority, protocol, handle: 0 },
    ];
  });
}

/** The digest, and the number of filters of the set: that one was taken out must be seen. */
function cookieOf(digest: string, filters: number): Uint8Array {
  const cookie = new Uint8Array(DIGEST_BYTES + 2);
  cookie.set(Buffer.from(digest, "hex"));
  putU16(cookie, DIGEST_BYTES, filters);
  return cookie;
}

function redirectOf(own: readonly FilterInfo[], nameOf: (index: number) => string): ObservedRedirect | null {
  const bpf = own.find(({ kind }) => kind === "bpf");
  const [, index, digest = ""] = NAME.exec(bpf?.name ?? "") ?? [];
  if (index !== undefined) {
    return { to: nameOf(Number(index)), classifier: "bpf", digest: own.length === 1 ? digest : "" };
  }
  const [first, ...others] = own.flatMap(({ action }) => (action === undefined ? [] : [action]));
  if (first === undefined) return own.length === 0 ? null : { to: nameOf(0), classifier: "u32", digest: "" };
  const whole =
    first.cookie.length === DIGEST_BYTES + 2 &&
    u16(first.cookie, DIGEST_BYTES) === own.length &&
    others.every(({ to, cookie }) => to === first.to && Buffer.compare(cookie, first.cookie) === 0);
  return {
    to: nameOf(first.to),
    classifier: own.some(({ kind }) => kind === "matchall") ? "matchall" : "u32",
    digest: whole ? Buffer.from(first.cookie.subarray(0, DIGEST_BYTES)).toString("hex") : "",
  };
}

/** None where the link has nothing to hang filters in, or is gone. */
function filtersOf(rtnetlink: Rtnetlink, link: number, hook: number, name: string): readonly FilterInfo[] {
  try {
    return rtnetlink
      .dump(RTM_GETTFILTER, encodeFilterQuestion(link, hook), `filters of ${name}`)
      .flatMap((payload) => decodeFilter(payload) ?? []);
  } catch (thrown) {
    if (thrown instanceof KernelError && [EINVAL, ENODEV, ENOENT].includes(thrown.errno)) return [];
    throw thrown;
  }
}

function isOwn({ kind, name, classid }: FilterInfo): boolean {
  return kind === "bpf" ? NAME.test(name ?? "") : classid === CLASS;
}

function refuseForeign(there: readonly FilterInfo[], name: string): void {
  const foreign = there.find((filter) => OWN_PRIORITIES.includes(filter.priority) && !isOwn(filter));
  if (foreign === undefined) return;
  throw new KernelError({
    errno: EEXIST,
    operation: OPERATION,
    object: name,
    said: `a ${foreign.kind} filter that is not podtap's has priority ${foreign.priority}`,
    hint: `podtap uses priorities ${PRIORITY} to ${BPF_PRIORITY}; see \`tc filter show dev ${name} ingress\``,
  });
}

function removal({ link, priority, protocol, handle }: FilterInfo, name: string): Change {
  return {
    type: RTM_DELTFILTER,
    payload: encodeFilterPlace({ link, priority, protocol, handle }),
    operation: "remove a filter of",
    object: name,
    accept: [ENOENT],
  };
}
