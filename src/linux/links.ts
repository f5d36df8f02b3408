/**
 * Links and addresses of one namespace by name, over its rtnetlink socket. Deletes and takes over only what carries
 * podtap's mark.
 */
import { isLinkName, LINK_MARK } from "../base/names.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { BridgePortPlan } from "../plan/plan.ts";
import type { LinkChanges, StepOf } from "../plan/step.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../wire/netlink.ts";
import {
  type AddressInfo,
  decodeAddress,
  encodeAddress,
  encodeAddressQuestion,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../wire/netlink-address.ts";
import {
  decodeLink,
  encodeLinkIndex,
  encodeLinkQuestion,
  encodeLinkSettings,
  encodePortFlags,
  type LinkInfo,
  type LinkSettings,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../wire/netlink-link.ts";
import { EADDRNOTAVAIL, EBUSY, EEXIST, EINVAL, ENODEV, EPERM, errnoOf, KernelError } from "./errno.ts";
import type { Change } from "./netlink-socket.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

export function readLinks(rtnetlink: Rtnetlink): readonly ObservedLink[] {
  const links = rtnetlink.dump(RTM_GETLINK, encodeLinkQuestion(), "links").map(decodeLink);
  const addresses = rtnetlink
    .dump(RTM_GETADDR, encodeAddressQuestion(), "addresses")
    .map(decodeAddress)
    .filter((address): address is AddressInfo => address !== undefined);
  const nameOf = new Map(links.map(({ index, name }) => [index, name]));
  return links.map(({ master, ...link }) => {
    const bridge = master === undefined ? undefined : nameOf.get(master);
    const own = addresses.filter((one) => one.link === link.index);
    const advertised = own.filter((one) => one.advertised).map(({ address }) => address);
    const peers = own.flatMap(({ address, peer }) => (peer === undefined ? [] : [[address, peer]]));
    return {
      ...link,
      ...(bridge !== undefined && { master: bridge }),
      addresses: own.map(({ address }) => address),
      ...(advertised.length > 0 && { advertised }),
      ...(peers.length > 0 && { peers: Object.fromEntries(peers) }),
    };
  });
}

/** The name of each index; `if7` where the link is gone. */
export function linkNames(rtnetlink: Rtnetlink): (index: number) => string {
  const links = rtnetlink.dump(RTM_GETLINK, encodeLinkQuestion(), "links").map(decodeLink);
  const names = new Map(links.map(({ index, name }) => [index, name]));
  return (index) => names.get(index) ?? `if${index}`;
}

/** undefined where there is no link of that name. */
export function findLink(rtnetlink: Rtnetlink, name: string): LinkInfo | undefined {
  if (!isLinkName(name)) {
    const said = "not a link name that podtap accepts";
    throw new KernelError({
      errno: EINVAL,
      operation: "look for the link",
      object: JSON.stringify(name),
      said,
    });
  }
  const [payload] = rtnetlink.ask({
    type: RTM_GETLINK,
    payload: encodeLinkQuestion(name),
    operation: "look for the link",
    object: name,
    // Absence is an answer, and an exception would cost more than the question.
    accept: [ENODEV],
  });
  return payload === undefined ? undefined : decodeLink(payload);
}

export function needLink(rtnetlink: Rtnetlink, name: string, operation: string): LinkInfo {
  const link = findLink(rtnetlink, name);
  if (link === undefined) throw new KernelError({ errno: ENODEV, operation, object: name });
  return link;
}

export function setLink(rtnetlink: Rtnetlink, name: string, changes: LinkChanges): void {
  const { rename, master, port, up, ...plain } = changes;
  const operation = `change (${Object.keys(changes).join(", ")}) the link`;
  if (rename !== undefined && !isLinkName(rename)) {
    const said = `${JSON.stringify(rename)} is not a link name that podtap accepts`;
    throw new KernelError({ errno: EINVAL, operation, object: name, said });
  }
  const settings: Omit<LinkSettings, "name"> = {
    ...plain,
    ...(master !== undefined && {
      master: master === null ? 0 : needLink(rtnetlink, master, operation).index,
    }),
  };
  // A port is switched on when it has its flags: until then it would learn.
  const flags = port === undefined || master === null ? undefined : port;
  const first = { ...settings, ...(flags === undefined && up !== undefined && { up }) };
  const after = flags === undefined ? [] : portChanges(rename ?? name, flags, up, operation);
  if (rename === undefined && changes.mac === undefined) {
    const before = Object.keys(first).length === 0 ? [] : [settingsOf(name, first, operation)];
    rtnetlink.change(...before, ...after);
    return;
  }
  const link = needLink(rtnetlink, name, operation);
  const step = (some: LinkSettings): Change => ({
    type: RTM_SETLINK,
    payload: encodeLinkSettings(link.index, some),
    operation,
    object: name,
  });
  const whole = { ...first, ...(rename !== undefined && { name: rename }) };
  try {
    rtnetlink.change(step(whole));
  } catch (thrown) {
    // Kernels before 6.2 rename, and some drivers change their MAC, only while the link is down.
    if (errnoOf(thrown) !== EBUSY || !link.up) throw thrown;
    rtnetlink.change(step({ up: false }), step({ ...whole, up: up ?? true }));
  }
  if (after.length > 0) rtnetlink.change(...after);
}

function portChanges(
  name: string,
  flags: BridgePortPlan,
  up: boolean | undefined,
  operation: string,
): readonly Change[] {
  return [
    { type: RTM_NEWLINK, payload: encodePortFlags(name, flags), operation, object: name },
    ...(up === undefined ? [] : [settingsOf(name, { up }, operation)]),
  ];
}

export function deleteLink(rtnetlink: Rtnetlink, name: string): void {
  const operation = "delete the link";
  const link = findLink(rtnetlink, name);
  if (link === undefined) return;
  if (link.alias !== LINK_MARK) {
    throw new KernelError({
      errno: EPERM,
      operation,
      object: name,
      said: "it lacks podtap's mark",
      hint: "podtap deletes only what it made; if this link is not needed, `ip link delete` it by hand",
    });
  }
  rtnetlink.change({
    type: RTM_DELLINK,
    payload: encodeLinkIndex(link.index),
    operation,
    object: name,
    accept: [ENODEV],
  });
}

/** @param steps all for one link */
export function addAddresses(rtnetlink: Rtnetlink, steps: readonly StepOf<"address.add">[]): void {
  const name = steps[0]?.link ?? "";
  const operation = ({ address }: StepOf<"address.add">): string => `add ${address} to`;
  const link = needLink(rtnetlink, name, steps.map(operation).join(", ")).index;
  const changes = steps.map((step) => ({
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encodeAddress({ ...step, link }),
    operation: operation(step),
    object: name,
    accept: [EEXIST],
  }));
  rtnetlink.change(...changes);
}

export function deleteAddress(rtnetlink: Rtnetlink, step: StepOf<"address.delete">): void {
  const { link: name, address } = step;
  const link = findLink(rtnetlink, name)?.index;
  if (link === undefined) return;
  rtnetlink.change({
    type: RTM_DELADDR,
    payload: encodeAddress({ ...step, link }),
    operation: `remove ${address} from`,
    object: name,
    accept: [EADDRNOTAVAIL],
  });
}

/** A change of the link of that name: found by name within the message, so that it can follow its creation. */
export function settingsOf(name: string, settings: Omit<LinkSettings, "name">, operation: string): Change {
  return {
    type: RTM_SETLINK,
    payload: encodeLinkSettings(0, { ...settings, name }),
    operation,
    object: name,
  };
}
