/**
 * Links that podtap makes, over rtnetlink. Each is made once and marked; made again it gets what it is asked for. One
 * of another kind, or somebody else's of the same name, is an error.
 */
import type { Mac } from "../base/mac.ts";
import { LINK_MARK } from "../base/names.ts";
import type { StepOf } from "../plan/step.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../wire/netlink.ts";
import {
  encodeNewBridge,
  encodeNewMacvlan,
  encodeNewPlainLink,
  type LinkInfo,
  RTM_NEWLINK,
} from "../wire/netlink-link.ts";
import { EEXIST, KernelError } from "./errno.ts";
import { findLink, needLink, settingsOf } from "./links.ts";
import type { Change } from "./netlink-socket.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

/** A foreign link of the wanted name, or one of ours that is something else, is an error. */
export function findOwn(
  rtnetlink: Rtnetlink,
  name: string,
  type: string,
  operation: string,
): LinkInfo | undefined {
  const link = findLink(rtnetlink, name);
  if (link === undefined || (link.alias === LINK_MARK && link.type === type)) return link;
  const what = link.type === "" ? "a NIC" : `a ${link.type}`;
  throw new KernelError({
    errno: EEXIST,
    operation,
    object: name,
    said: `${what} of that name is there${link.alias === LINK_MARK ? "" : " and is not podtap's"}`,
    hint: "podtap leaves it alone: rename or delete it, or choose another network name in the manifest",
  });
}

export function addBridge(rtnetlink: Rtnetlink, { name, mac, mtu }: Omit<StepOf<"bridge.add">, "op">): void {
  const operation = "make the bridge";
  const there = findOwn(rtnetlink, name, "bridge", operation);
  if (there === undefined) {
    // The MTU is set afterwards: only a changed MTU is kept when ports come and go (br_change_mtu).
    make(rtnetlink, name, encodeNewBridge(name, mac), operation, settingsOf(name, { mtu }, operation));
  } else {
    adjust(rtnetlink, there, mac, mtu, operation);
  }
}

export function addPark(rtnetlink: Rtnetlink, { name, kind, mac, mtu }: StepOf<"park.add">): void {
  if (kind === "bridge") {
    addBridge(rtnetlink, { name, mac, mtu });
    return;
  }
  const operation = "make the dummy";
  const there = findOwn(rtnetlink, name, "dummy", operation);
  if (there === undefined) make(rtnetlink, name, encodeNewPlainLink("dummy", { name, mac, mtu }), operation);
  else adjust(rtnetlink, there, mac, mtu, operation);
}

export function addMacvlan(rtnetlink: Rtnetlink, step: StepOf<"macvlan.add">): void {
  const { name, lower, mode, mac, mtu } = step;
  const kind = step.tap ? "macvtap" : "macvlan";
  const operation = `make the ${kind}`;
  const there = findOwn(rtnetlink, name, kind, operation);
  if (there === undefined) {
    const index = needLink(rtnetlink, lower, `${operation} ${name} on`).index;
    const payload = encodeNewMacvlan({ kind, name, lower: index, mode, mac, mtu });
    // In this mode the lower link's MAC is taken, whatever was asked for; a change of it changes both, and the
    // kernel gives the lower its own back when the macvlan goes (macvlan_port_destroy).
    const mend = mode === "passthru" ? [settingsOf(name, { mac }, operation)] : [];
    make(rtnetlink, name, payload, operation, ...mend);
    return;
  }
  if (there.macvlan?.mode !== mode) {
    throw new KernelError({
      errno: EEXIST,
      operation,
      object: name,
      said: `one in mode ${there.macvlan?.mode ?? "unknown"} is there`,
      hint: "podtap makes it anew for another mode: it has to be deleted first",
    });
  }
  adjust(rtnetlink, there, mac, mtu, operation);
}

/** To be called for a tap that was just made. */
export function markTap(rtnetlink: Rtnetlink, name: string, mtu: number): void {
  rtnetlink.change(settingsOf(name, { alias: LINK_MARK, mtu }, "mark as podtap's the tap"));
}

export function setMtu(rtnetlink: Rtnetlink, name: string, mtu: number): void {
  rtnetlink.change(settingsOf(name, { mtu }, "set the MTU of"));
}

/** The mark comes right after, in the same send: the kernel takes none with a new link. */
function make(
  rtnetlink: Rtnetlink,
  name: string,
  payload: Uint8Array,
  operation: string,
  ...more: readonly Change[]
): void {
  rtnetlink.change(
    { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload, operation, object: name },
    settingsOf(name, { alias: LINK_MARK }, `mark as podtap's, having tried to ${operation},`),
    ...more,
  );
}

function adjust(
  rtnetlink: Rtnetlink,
  there: LinkInfo,
  mac: Mac | undefined,
  mtu: number,
  operation: string,
): void {
  const changed = { mtu, ...(mac !== undefined && mac !== there.mac && { mac }) };
  rtnetlink.change(settingsOf(there.name, changed, operation));
}
