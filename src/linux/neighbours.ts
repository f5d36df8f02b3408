/** Neighbours and bridges' forwarding tables of one namespace, over its rtnetlink socket. */
import type { ObservedFdbEntry, ObservedNeighbour } from "../plan/observed.ts";
import type { StepOf } from "../plan/step.ts";
import { NLM_F_CREATE, NLM_F_REPLACE } from "../wire/netlink.ts";
import {
  decodeFdbEntry,
  decodeNeighbour,
  encodeFdbEntry,
  encodeFdbQuestion,
  encodeNeighbour,
  encodeNeighbourQuestion,
  type FdbInfo,
  type NeighbourInfo,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../wire/netlink-neighbour.ts";
import { EINVAL, ENODEV, ENOENT, KernelError } from "./errno.ts";
import { findLink, linkNames, needLink } from "./links.ts";
import type { Rtnetlink } from "./rtnetlink.ts";

/** Permanent ones of both families. */
export function readNeighbours(rtnetlink: Rtnetlink): readonly ObservedNeighbour[] {
  const neighbours = rtnetlink
    .dump(RTM_GETNEIGH, encodeNeighbourQuestion(), "neighbours")
    .map(decodeNeighbour)
    .filter((one): one is NeighbourInfo => one?.permanent === true);
  if (neighbours.length === 0) return [];
  const nameOf = linkNames(rtnetlink);
  return neighbours.map(({ link, ...rest }) => ({ link: nameOf(link), ...rest }));
}

export function addNeighbour(rtnetlink: Rtnetlink, { link, ip, mac }: StepOf<"neighbour.add">): void {
  const operation = `say that ${mac} has ${ip} on`;
  rtnetlink.change({
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: encodeNeighbour({ link: needLink(rtnetlink, link, operation).index, ip, mac }),
    operation,
    object: link,
  });
}

export function deleteNeighbour(rtnetlink: Rtnetlink, { link, ip }: StepOf<"neighbour.delete">): void {
  const index = findLink(rtnetlink, link)?.index;
  if (index === undefined) return;
  rtnetlink.change({
    type: RTM_DELNEIGH,
    payload: encodeNeighbour({ link: index, ip }),
    operation: `forget who has ${ip} on`,
    object: link,
    accept: [ENOENT],
  });
}

/** Static entries, the ports' own addresses left out. */
export function readFdb(rtnetlink: Rtnetlink): readonly ObservedFdbEntry[] {
  const entries = rtnetlink
    .dump(RTM_GETNEIGH, encodeFdbQuestion(), "bridges' forwarding tables")
    .map(decodeFdbEntry)
    .filter((one): one is FdbInfo => one !== undefined);
  if (entries.length === 0) return [];
  const nameOf = linkNames(rtnetlink);
  return entries.map(({ port, mac }) => ({ port: nameOf(port), mac }));
}

/** As `bridge fdb replace MAC dev PORT master static`. */
export function addFdbEntry(rtnetlink: Rtnetlink, { port, mac }: StepOf<"fdb.add">): void {
  const operation = `say that ${mac} is behind`;
  const link = needLink(rtnetlink, port, operation);
  if (link.port === undefined) {
    throw new KernelError({ errno: EINVAL, operation, object: port, said: "it is no bridge port" });
  }
  rtnetlink.change({
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: encodeFdbEntry({ port: link.index, mac }),
    operation,
    object: port,
  });
}

export function deleteFdbEntry(rtnetlink: Rtnetlink, { port, mac }: StepOf<"fdb.delete">): void {
  const link = findLink(rtnetlink, port);
  // With its bridge a port loses its entries.
  if (link?.port === undefined) return;
  rtnetlink.change({
    type: RTM_DELNEIGH,
    payload: encodeFdbEntry({ port: link.index, mac }),
    operation: `forget that ${mac} is behind`,
    object: port,
    accept: [ENOENT, ENODEV],
  });
}
