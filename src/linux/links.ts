/**
 * Links and addresses of one namespace by name, over its rtnetlink socket. Deletes and takes over only what carries
 * podtap's mark.
 */
import type { Cidr } from "../base/ip.ts";
import { isLinkName, LINK_MARK } from "../base/names.ts";
import type { ObservedLink, ObservedRoute } from "../plan/observed.ts";
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
  encodeNewBridge,
  type LinkInfo,
  type LinkSettings,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../wire/netlink-link.ts";
import { decodeRoute, encodeRouteQuestion, RTM_GETROUTE } from "../wire/netlink-route.ts";
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
    return {
      ...link,
      ...(bridge !== undefined && { master: bridge }),
      addresses: addresses.filter((one) => one.link === link.index).map(({ address }) => address),
    };
  });
}

export function readRoutes(
  rtnetlink: Rtnetlink,
  links: readonly Pick<ObservedLink, "index" | "name">[] = readLinks(rtnetlink),
): readonly ObservedRoute[] {
  const nameOf = new Map(links.map(({ index, name }) => [index, name]));
  return rtnetlink
    .dump(RTM_GETROUTE, encodeRouteQuestion(), "routes")
    .flatMap(decodeRoute)
    .map((route) => ({ ...route, link: nameOf.get(route.link) ?? `if${route.link}` }));
}

/** undefined where there is no link of that name. */
function findLink(rtnetlink: Rtnetlink, name: string): LinkInfo | undefined {
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

export function addBridge(rtnetlink: Rtnetlink, { name, mac, mtu }: StepOf<"bridge.add">): void {
  const operation = "make the bridge";
  const there = findOwn(rtnetlink, name, "bridge", operation);
  // The MTU is set afterwards: only a changed MTU is kept when ports come and go (br_change_mtu).
  const mark = settingsOf(name, { alias: LINK_MARK, mtu }, "mark as podtap's the bridge");
  if (there !== undefined) {
    rtnetlink.change(
      settingsOf(name, { mtu, ...(mac !== undefined && mac !== there.mac && { mac }) }, operation),
    );
    return;
  }
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  rtnetlink.change(
    { type: RTM_NEWLINK, flags, payload: encodeNewBridge(name, mac), operation, object: name },
    mark,
  );
}

/** Makes a link ours that another program made at our request: the pod network's bridge. */
export function markLink(rtnetlink: Rtnetlink, name: string): void {
  rtnetlink.change(settingsOf(name, { alias: LINK_MARK }, "mark as podtap's the link"));
}

/** To be called for a tap that was just made. */
export function markTap(rtnetlink: Rtnetlink, name: string, mtu: number): void {
  rtnetlink.change(settingsOf(name, { alias: LINK_MARK, mtu }, "mark as podtap's the tap"));
}

export function setMtu(rtnetlink: Rtnetlink, name: string, mtu: number): void {
  rtnetlink.change(settingsOf(name, { mtu }, "set the MTU of"));
}

export function setLink(rtnetlink: Rtnetlink, name: string, changes: LinkChanges): void {
  const { rename, master, ...plain } = changes;
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
  if (rename === undefined && changes.mac === undefined) {
    rtnetlink.change(settingsOf(name, settings, operation));
    return;
  }
  const link = needLink(rtnetlink, name, operation);
  const step = (some: LinkSettings): Change => ({
    type: RTM_SETLINK,
    payload: encodeLinkSettings(link.index, some),
    operation,
    object: name,
  });
  const whole = { ...settings, ...(rename !== undefined && { name: rename }) };
  try {
    rtnetlink.change(step(whole));
  } catch (thrown) {
    // Kernels before 6.2 rename, and some drivers change their MAC, only while the link is down.
    if (errnoOf(thrown) !== EBUSY || !link.up) throw thrown;
    rtnetlink.change(step({ up: false }), step({ ...whole, up: changes.up ?? true }));
  }
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

export function addAddresses(rtnetlink: Rtnetlink, name: string, addresses: readonly Cidr[]): void {
  const operation = (address: Cidr): string => `add ${address} to`;
  const link = needLink(rtnetlink, name, addresses.map(operation).join(", ")).index;
  const changes = addresses.map((address) => ({
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encodeAddress({ link, address }),
    operation: operation(address),
    object: name,
    accept: [EEXIST],
  }));
  rtnetlink.change(...changes);
}

export function deleteAddress(rtnetlink: Rtnetlink, { link: name, address }: StepOf<"address.delete">): void {
  const link = findLink(rtnetlink, name)?.index;
  if (link === undefined) return;
  rtnetlink.change({
    type: RTM_DELADDR,
    payload: encodeAddress({ link, address }),
    operation: `remove ${address} from`,
    object: name,
    accept: [EADDRNOTAVAIL],
  });
}

/** A change of the link of that name: found by name within the message, so that it can follow its creation. */
function settingsOf(name: string, settings: Omit<LinkSettings, "name">, operation: string): Change {
  return {
    type: RTM_SETLINK,
    payload: encodeLinkSettings(0, { ...settings, name }),
    operation,
    object: name,
  };
}
