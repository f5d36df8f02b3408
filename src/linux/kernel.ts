/** The engine's view of one network namespace (apply/ports.ts), on the kernel itself. */
import { closeSync } from "node:fs";
import { batchesOf } from "../apply/batches.ts";
import type { Executors, Kernel } from "../apply/ports.ts";
import { LINK_MARK } from "../base/names.ts";
import type { Step, StepOf, StepOp } from "../plan/step.ts";
import { EEXIST, KernelError } from "./errno.ts";
import { addAddresses, deleteAddress, deleteLink, readLinks, setLink } from "./links.ts";
import { addBridge, addMacvlan, addPark, findOwn, markTap, setMtu } from "./make-links.ts";
import {
  addFdbEntry,
  addNeighbour,
  deleteFdbEntry,
  deleteNeighbour,
  readFdb,
  readNeighbours,
} from "./neighbours.ts";
import { inNetns, openNetns } from "./netns.ts";
import { readNftGeneration } from "./nfnetlink.ts";
import { nftTables, readNftCounters, readNftTables } from "./nft-tables.ts";
import { deleteRedirect, readRedirects, setRedirect } from "./redirect.ts";
import { resolveNeighbours } from "./resolve-neighbours.ts";
import { addRoute, deleteRoute, readRoutes } from "./routes.ts";
import { openRtnetlink, type Rtnetlink } from "./rtnetlink.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";
import { makeTap } from "./tap.ts";

/** Keeps its namespace alive until it is closed. */
export interface OpenKernel extends Kernel {
  /** Everything that `run` does with this kernel, in one window: cheaper than a window a call. */
  within<T>(run: () => T): T;
  close(): void;
}

/** @param path a named network namespace */
export function openKernel(path: string): OpenKernel {
  const netns = openNetns(path);
  let rtnetlink: Rtnetlink;
  try {
    rtnetlink = inNetns(netns, openRtnetlink);
  } catch (thrown) {
    closeSync(netns);
    throw thrown;
  }
  const inside = <T>(run: () => T): T => inNetns(netns, run);
  const executors = executorsIn(inside, rtnetlink);
  return {
    within: inside,
    readLinks: () => readLinks(rtnetlink),
    readRoutes: (links) => readRoutes(rtnetlink, links),
    readNeighbours: () => readNeighbours(rtnetlink),
    resolveNeighbours: (link, ips) => inside(() => resolveNeighbours(rtnetlink, link, ips)),
    readFdb: () => readFdb(rtnetlink),
    readRedirects: (links) => readRedirects(rtnetlink, links),
    readSysctl: (key) => inside(() => readSysctl(key)),
    readNftTables: (prefix) => inside(() => readNftTables(prefix)),
    readNftGeneration: () => inside(readNftGeneration),
    readNftCounters: (table) => inside(() => readNftCounters(table)),
    run: (...steps) => {
      for (const batch of batchesOf(steps)) {
        const [step] = batch;
        if (step?.op === "address.add") addAddresses(rtnetlink, addressesOf(batch));
        else if (step !== undefined) (executors[step.op] as (step: StepOf<StepOp>) => void)(step);
      }
    },
    close: () => {
      rtnetlink.close();
      closeSync(netns);
    },
  };
}

function executorsIn(inside: (run: () => void) => void, rtnetlink: Rtnetlink): Executors {
  return {
    "bridge.add": (step) => addBridge(rtnetlink, step),
    "tap.add": (step) => inside(() => addTap(rtnetlink, step)),
    "park.add": (step) => addPark(rtnetlink, step),
    "macvlan.add": (step) => addMacvlan(rtnetlink, step),
    "route.add": ({ route }) => addRoute(rtnetlink, route),
    "route.delete": ({ route }) => deleteRoute(rtnetlink, route),
    "neighbour.add": (step) => addNeighbour(rtnetlink, step),
    "neighbour.delete": (step) => deleteNeighbour(rtnetlink, step),
    "fdb.add": (step) => addFdbEntry(rtnetlink, step),
    "fdb.delete": (step) => deleteFdbEntry(rtnetlink, step),
    "redirect.set": (step) => setRedirect(rtnetlink, step),
    "redirect.delete": ({ link }) => deleteRedirect(rtnetlink, link),
    "link.set": ({ name, changes }) => setLink(rtnetlink, name, changes),
    "link.delete": ({ name }) => deleteLink(rtnetlink, name),
    "address.add": (step) => addAddresses(rtnetlink, [step]),
    "address.delete": (step) => deleteAddress(rtnetlink, step),
    "sysctl.set": ({ key, value }) => inside(() => writeSysctl(key, value)),
    "nft.replace": ({ tables, fresh }) =>
      inside(() => {
        if (!fresh || !nftTables.create(tables)) nftTables.replace(tables);
      }),
    "nft.delete": ({ tables }) => inside(() => nftTables.delete(tables)),
  };
}

function addressesOf(batch: readonly Step[]): readonly StepOf<"address.add">[] {
  return batch.filter((step) => step.op === "address.add");
}

function addTap(rtnetlink: Rtnetlink, { name, uid, multiQueue, mtu }: StepOf<"tap.add">): void {
  const there = findOwn(rtnetlink, name, "tun", "make the tap");
  if (there === undefined) {
    makeTap({ name, uid, multiQueue }, () => markTap(rtnetlink, name, mtu));
    return;
  }
  if (there.tap?.uid !== uid || there.tap.multiQueue !== multiQueue) {
    throw new KernelError({
      errno: EEXIST,
      operation: "make the tap",
      object: name,
      said: `one marked ${LINK_MARK} with another owner or queue mode is there`,
      hint: "both are fixed when a tap is made: it has to be deleted first",
    });
  }
  setMtu(rtnetlink, name, mtu);
}
