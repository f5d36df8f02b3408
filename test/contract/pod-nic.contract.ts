/**
 * What CNI made is given back as it was: its NIC is renamed, gets another MAC, becomes a bridge port, loses addresses,
 * routes and neighbours, and a park takes its name; then all is undone. Whatever network the pod is in, and wherever
 * podtap is killed. On the fake (pod-nic-fake.test.ts) and on the kernel (test/netns/pod-nic.test.ts).
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { openJournal } from "../../src/apply/journal.ts";
import { observe } from "../../src/apply/observe.ts";
import type { Kernel } from "../../src/apply/ports.ts";
import { runSteps } from "../../src/apply/run.ts";
import { type PodFiles, podFiles, unwirePod } from "../../src/apply/wire-pod.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { diffPlan, needsOf } from "../../src/plan/diff.ts";
import type { ObservedRoute } from "../../src/plan/observed.ts";
import type { NicPlan, ParkKind, Plan } from "../../src/plan/plan.ts";
import type { Step } from "../../src/plan/step.ts";
import { dyingAt, failingAt } from "../support/mortal-kernel.ts";

const MAC = "0a:58:0a:f4:00:05" as Mac;
const GATEWAY_MAC = "ee:ee:ee:ee:ee:ee" as Mac;

/** What networks leave in a pod, as steps over `eth0`. */
export const NETWORKS: Readonly<Record<string, readonly Step[]>> = {
  "a bridge with routes": [
    ...addresses("10.244.1.7/24", "fd00:10:244:1::7/64", "fe80::8/64"),
    ...routes(
      { destination: "0.0.0.0/0", gateway: "10.244.1.1" },
      { destination: "10.244.0.0/16", gateway: "10.244.1.1" },
      { destination: "::/0", gateway: "fd00:10:244:1::1", metric: 1024 },
      { destination: "fd00:10:244::/48", gateway: "fe80::1", metric: 512 },
    ),
  ],
  Calico: [
    ...addresses("10.65.0.3/32", "fd00:65::3/128"),
    ...routes(
      { destination: "169.254.1.1/32" },
      { destination: "0.0.0.0/0", gateway: "169.254.1.1" },
      { destination: "::/0", gateway: "fe80::ecee:eeff:feee:eeee", metric: 1024 },
    ),
  ],
  AWS: [
    ...addresses("10.0.5.6/32"),
    ...routes(
      { destination: "169.254.1.1/32" },
      { destination: "0.0.0.0/0", gateway: "169.254.1.1", onLink: true },
    ),
    { op: "neighbour.add", link: "eth0", ip: "169.254.1.1" as Ip, mac: GATEWAY_MAC },
  ],
  "CNI's ptp": [
    ...addresses("10.1.0.5/24", "fd00:1::5/64"),
    ...["10.1.0.0/24", "fd00:1::/64"].map((destination): Step => {
      const metric = destination.includes(":") ? { metric: 256 } : {};
      const route = { destination: destination as Cidr, link: "eth0", ...metric, fromAddress: true } as const;
      return { op: "route.delete", route };
    }),
    ...routes(
      { destination: "10.1.0.1/32", source: "10.1.0.5" },
      { destination: "10.1.0.0/24", gateway: "10.1.0.1", source: "10.1.0.5" },
      { destination: "0.0.0.0/0", gateway: "10.1.0.1" },
      { destination: "fd00:1::1/128", metric: 1024 },
      { destination: "fd00:1::/64", gateway: "fd00:1::1", metric: 1024 },
      { destination: "::/0", gateway: "fd00:1::1", metric: 1024 },
    ),
  ],
  Cilium: [
    ...addresses("10.0.0.5/32"),
    ...routes({ destination: "10.0.0.1/32" }, { destination: "0.0.0.0/0", gateway: "10.0.0.1", mtu: 1400 }),
  ],
  "point to point": [
    { op: "address.add", link: "eth0", address: "10.3.0.2/32" as Cidr, peer: "10.3.0.1" as Ip },
    ...routes({ destination: "0.0.0.0/0", gateway: "10.3.0.1" }),
  ],
  "several addresses of a network": [
    ...addresses("10.4.0.5/24", "10.4.0.6/24", "10.5.0.5/16", "10.4.0.7/24"),
    ...addresses("fd00:4::5/64", "fd00:4::6/64", "fe80::8/64", "fe80::9/64"),
    ...routes({ destination: "192.0.2.0/24", gateway: "10.4.0.1", source: "10.4.0.6" }),
  ],
  "many ways": [
    ...addresses("10.6.0.5/24", "fd00:6::5/64"),
    ...multipath("0.0.0.0/0", { metric: 5 }, ["10.6.0.1", 1], ["10.6.0.2", 3], ["10.6.0.3", 2]),
    ...multipath("::/0", { metric: 1024 }, ["fd00:6::1", 1], ["fd00:6::2", 4]),
    ...routes(
      { destination: "0.0.0.0/0", gateway: "10.6.0.9", metric: 900 },
      { destination: "192.0.2.0/24", gateway: "fe80::77" },
      { destination: "198.51.100.0/24" },
    ),
  ],
  "no address": [],
};

/** A namespace with an `eth0` that is up, has no address and is not podtap's. */
export type OpenNic = () => {
  readonly kernel: Kernel;
  /** What others see of it: more than podtap looks at. */
  shown?(): string;
  close(): void;
};

export interface PodNicOptions {
  readonly park: ParkKind;
  /** Networks in which podtap is killed at every step; all of them where absent. */
  readonly killedIn?: readonly string[];
}

export function podNicContract(where: string, openNic: OpenNic, { park, killedIn }: PodNicOptions): void {
  for (const [network, steps] of Object.entries(NETWORKS)) {
    const within = async (
      run: (kernel: Kernel, files: PodFiles, state: () => object) => void,
    ): Promise<void> => {
      // Sockets of nftables are closed by timers.
      await setImmediate();
      const { kernel, close, shown = () => "" } = openNic();
      const folder = mkdtempSync(join(tmpdir(), "podtap-contract-"));
      try {
        kernel.run(...steps);
        run(kernel, podFiles(folder), () => ({ ...stateOf(kernel), shown: shown() }));
      } finally {
        close();
        rmSync(folder, { recursive: true, force: true });
      }
    };

    test(`${where}: ${network}: aside and back`, async () => {
      await within((kernel, files, state) => {
        const before = state();
        const plan = prepare(kernel, files, park);
        assert.ok(apply(kernel, plan, files) > 0);
        const nic = kernel.readLinks().find(({ name }) => name === "eth0-nic");
        assert.deepEqual(nic?.addresses, []);
        assert.deepEqual([nic?.master, nic?.port?.learning], ["k6t-eth0", false]);
        assert.ok(!kernel.readRoutes().some(({ link }) => link === "eth0-nic"));
        assert.equal(apply(kernel, plan, files), 0);
        assert.deepEqual(unwirePod(kernel, files), []);
        assert.deepEqual(state(), before);
        assert.deepEqual(readdirSync(join(files.plan, "..")), []);
      });
    });

    if (killedIn !== undefined && !killedIn.includes(network)) continue;

    test(`${where}: ${network}: killed before any step, finished or undone`, async () => {
      let count = 1;
      for (let at = 0; at < count; at++) {
        for (const finish of [true, false]) {
          await within((kernel, files, state) => {
            const before = state();
            const plan = prepare(kernel, files, park);
            count = stepsOf(kernel, plan).length;
            assert.throws(() => apply(dyingAt(kernel, at), plan, files), /killed before/);
            if (finish) {
              apply(kernel, plan, files);
              assert.equal(apply(kernel, plan, files), 0, `killed at step ${at}`);
            }
            assert.deepEqual(unwirePod(kernel, files), [], `killed at step ${at}`);
            assert.deepEqual(state(), before, `killed at step ${at}`);
          });
        }
      }
    });

    test(`${where}: ${network}: whichever step fails, what was done is undone`, async () => {
      let count = 1;
      for (let at = 0; at < count; at++) {
        await within((kernel, files, state) => {
          const before = state();
          const plan = prepare(kernel, files, park);
          count = stepsOf(kernel, plan).length;
          assert.throws(() => apply(failingAt(kernel, at), plan, files), /refused for a test.*was undone/);
          assert.deepEqual(state(), before, `failed at step ${at}`);
        });
      }
    });
  }
}

/** Everything, the links' indexes included: a NIC that was given back is the one that was taken. */
function stateOf(kernel: Kernel): object {
  const { links, routes, neighbours } = observe(kernel, { neighbours: true });
  return { links, routes, neighbours };
}

/** Does to `eth0` all that a binding may; undone by `unwirePod`. */
export function takeAside(kernel: Kernel, files: PodFiles, park: ParkKind): void {
  const plan = prepare(kernel, files, park);
  apply(kernel, plan, files);
  assert.equal(apply(kernel, plan, files), 0);
}

/** As `wirePod` leaves them before the first change. */
function prepare(kernel: Kernel, files: PodFiles, park: ParkKind): Plan {
  const pristine = observe(kernel);
  const nic = pristine.links.find(({ name }) => name === "eth0");
  assert.ok(nic);
  const master = "k6t-eth0";
  const links: NicPlan["links"] = [
    {
      type: "pod-nic",
      index: nic.index,
      name: "eth0-nic",
      mac: "02:00:00:00:00:07" as Mac,
      master,
      port: { learning: false },
      released: true,
    },
    {
      type: "park",
      name: "eth0",
      kind: park,
      mac: MAC,
      mtu: nic.mtu,
      addresses: nic.addresses.filter((address) => !address.startsWith("fe80:")),
    },
    { type: "bridge", name: master, mtu: nic.mtu, addresses: [] },
    {
      type: "tap",
      name: "tap0",
      mtu: nic.mtu,
      master,
      uid: 107,
      multiQueue: false,
      port: { learning: false, neighbourSuppression: true, staticMacs: [MAC] },
    },
  ];
  const plan = {
    version: 1,
    vmi: { namespace: "default", name: "vm", uid: "1" },
    nics: [{ links, sysctls: [], nft: [], services: [] }],
  } as unknown as Plan;
  writeFileSync(files.plan, JSON.stringify(plan));
  writeFileSync(files.pristine, JSON.stringify(pristine));
  return plan;
}

function stepsOf(kernel: Kernel, plan: Plan): readonly Step[] {
  return diffPlan(plan, observe(kernel, needsOf(plan)), []);
}

/** How many steps were missing. */
function apply(kernel: Kernel, plan: Plan, files: PodFiles): number {
  const before = observe(kernel, needsOf(plan));
  const steps = diffPlan(plan, before, []);
  runSteps(kernel, steps, before, openJournal(files.journal));
  return steps.length;
}

function addresses(...list: readonly string[]): readonly Step[] {
  return list.map((address) => ({ op: "address.add", link: "eth0", address: address as Cidr }));
}

interface Route {
  readonly destination: string;
  readonly gateway?: string;
  readonly source?: string;
  readonly metric?: number;
  readonly mtu?: number;
  readonly onLink?: true;
}

function routes(...list: readonly Route[]): readonly Step[] {
  return list.map((route) => ({ op: "route.add", route: { ...route, link: "eth0" } as ObservedRoute }));
}

function multipath(
  destination: string,
  rest: { readonly metric: number },
  ...hops: readonly (readonly [string, number])[]
): readonly Step[] {
  const all = hops.map(([gateway, weight]) => ({ gateway: gateway as Ip, link: "eth0", weight }));
  return all.map(({ weight: _, ...hop }) => ({
    op: "route.add",
    route: { destination: destination as Cidr, ...rest, ...hop, hops: all },
  }));
}
