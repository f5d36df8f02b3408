/**
 * What this kernel can do, found by doing it: in a network namespace made for it, which goes away with all that was
 * tried. A kernel without modules and one that may load them are asked alike.
 */
import { closeSync, constants, existsSync, openSync, readFileSync } from "node:fs";
import { PodtapError } from "../base/errors.ts";
import { type Mac, parseMac } from "../base/mac.ts";
import {
  type HostFeatures,
  type KernelFeatures,
  type ProgramFeatures,
  TYPICAL_FEATURES,
} from "../plan/host-features.ts";
import { addBridge, addMacvlan, addPark } from "./make-links.ts";
import { inScratchNetns } from "./netns.ts";
import { nftTables } from "./nft-tables.ts";
import { canRedirectPeer, probeClassifiers } from "./redirect.ts";
import { openRtnetlink, type Rtnetlink } from "./rtnetlink.ts";

const MAC = parseMac("02:00:00:00:00:01") as Mac;
const MTU = 1500;
const LOWER = "probe0";
const BIN = ["/usr/bin", "/usr/local/bin", "/bin"];

let known: HostFeatures | undefined;

/** Tried once in a process. Needs root. Programs are looked for; what they can do is asked by `vm/`. */
export function hostFeatures(): HostFeatures {
  known ??= probeFeatures();
  return known;
}

export function probeFeatures(): HostFeatures {
  return { ...probeKernel(), ...findPrograms() };
}

/** What a distribution's programs can do, of those that are here. Needs no right. */
export function findPrograms(): ProgramFeatures {
  const { builtinUserNetwork, userNetworks } = TYPICAL_FEATURES;
  const found = userNetworks.filter(({ program }) =>
    BIN.some((folder) => existsSync(`${folder}/${program}`)),
  );
  return { builtinUserNetwork, userNetworks: found, openFiles: openFilesMax() };
}

/** The hard limit (getrlimit(2)), which what we start inherits. */
function openFilesMax(): number {
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return hard === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(hard);
}

function probeKernel(): KernelFeatures {
  return inScratchNetns(() => {
    const rtnetlink = openRtnetlink();
    try {
      return {
        vhostNet: opens("/dev/vhost-net"),
        dummy: works(() =>
          addPark(rtnetlink, { op: "park.add", name: "probe1", kind: "dummy", mac: MAC, mtu: MTU }),
        ),
        classifiers: probeClassifiers(rtnetlink, "lo"),
        redirectPeer: works(canRedirectPeer),
        netdevEgress: works(hookEgress),
        macvtap: works(() => makeMacvtap(rtnetlink)),
      };
    } finally {
      rtnetlink.close();
    }
  });
}

function makeMacvtap(rtnetlink: Rtnetlink): void {
  // Not over lo, which takes none.
  addBridge(rtnetlink, { name: LOWER, mtu: MTU });
  addMacvlan(rtnetlink, {
    op: "macvlan.add",
    name: "probe2",
    lower: LOWER,
    mode: "bridge",
    tap: true,
    mac: MAC,
    mtu: MTU,
  });
}

function hookEgress(): void {
  const hook = { type: "filter", hook: "egress", priority: 0, policy: "accept", device: "lo" } as const;
  nftTables.replace([
    {
      family: "netdev",
      name: "podtap-probe",
      counters: [],
      sets: [],
      chains: [{ name: "egress", hook, rules: [] }],
    },
  ]);
}

function opens(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDWR));
    return true;
  } catch {
    return false;
  }
}

/** The kernel's no is an answer; podtap's own mistakes are not. */
function works(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (thrown) {
    if (thrown instanceof PodtapError) return false;
    throw thrown;
  }
}
