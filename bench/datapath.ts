/**
 * `podtap bench datapath`: round trips and throughput of every binding against a direct tap, and the seed's two
 * latency tables. A namespace plays the guest, so that the wiring is what is measured and not an emulated processor.
 */
import { execFileSync } from "node:child_process";
import { registry } from "../src/bindings/index.ts";
import { DEFAULT_SETTINGS } from "../src/bindings/settings.ts";
import type { NamespaceGuest } from "../test/support/namespace-guest.ts";
import { openLab } from "./datapath/lab.ts";
import { type Cell, type Figures, measure } from "./datapath/measure.ts";
import { type Compared, compare, type DatapathReport } from "./datapath/report.ts";
import { BY_HAND, DIRECT, type Scenario, scenarioOf } from "./datapath/scenarios.ts";
import { LARGEST_DATAGRAM, SEED_SIZES } from "./datapath/seed-figures.ts";

const MTU = 1500;
const LATENCY: readonly Cell[] = [
  { kind: "tcp", size: 64 },
  { kind: "udp", size: 64 },
];
const STREAMS: readonly Cell[] = [
  { kind: "send", size: 0 },
  { kind: "receive", size: 0 },
];

export async function run(options: {
  readonly rounds?: number;
  /** A cell. */
  readonly durationMs?: number;
  /** Only the overview, without the seed's tables. */
  readonly quick?: boolean;
  note(text: string): void;
}): Promise<DatapathReport> {
  const { rounds = 30, durationMs: milliseconds = 80, quick = false, note } = options;
  const measurable = registry.all.filter(
    ({ traits }) => traits.attaches !== "user-network" || traits.podAddress === "shared",
  );
  const scenarios = [...BY_HAND, ...measurable.map(scenarioOf)];
  const table = seedScenarios();
  const sizes = quick ? [] : SEED_SIZES;
  const bySize = sizes.flatMap((size): readonly Cell[] => [
    { kind: "tcp", size },
    { kind: "udp", size: Math.min(size, LARGEST_DATAGRAM) },
  ]);
  const shared = { rounds, milliseconds, note };
  const paths = new Map(scenarios.map(({ name, path }) => [name, path]));
  const compared = (figures: Figures, cells: readonly Cell[]): readonly Compared[] =>
    compare(figures, cells, paths, DIRECT);
  const parts = [
    // Where two processors take turns, waking the other one is most of a round trip, now and then: on one, what is
    // left is the work of the path.
    ...(await onOneProcessor(() =>
      inLab(scenarios, async (guests) => {
        const five = new Map([...guests].filter(([name]) => table.includes(name)));
        return [
          compared(await measure({ guests, cells: LATENCY, ...shared }), LATENCY),
          ...(quick ? [] : [compared(await measure({ guests: five, cells: bySize, ...shared }), bySize)]),
        ];
      }),
    )),
    ...(await inLab(scenarios, async (guests) => [
      compared(await measure({ guests, cells: STREAMS, ...shared }), STREAMS),
    ])),
  ];
  return {
    name: "datapath",
    guest: "a namespace behind the tap, joined to it as QEMU would be (test/support/relay.c)",
    rounds,
    millisecondsPerCell: milliseconds,
    mtu: MTU,
    baseline: DIRECT,
    scenarios: scenarios.map(({ name, path }) => ({
      scenario: name,
      path,
      cells: Object.assign(
        {},
        ...parts.toReversed().map((part) => part.find(({ scenario }) => scenario === name)?.cells ?? {}),
      ),
    })),
    table: { scenarios: table, sizes },
  };
}

async function inLab<T>(
  scenarios: readonly Scenario[],
  run: (guests: ReadonlyMap<string, NamespaceGuest>) => Promise<T>,
): Promise<T> {
  const lab = openLab(MTU);
  try {
    const guests = new Map<string, NamespaceGuest>();
    for (const [i, scenario] of scenarios.entries()) {
      guests.set(scenario.name, await scenario.open(lab, `10.98.0.${10 + i}`));
    }
    return await run(guests);
  } finally {
    await lab.close();
  }
}

/** For what is started meanwhile: a child begins where the thread that made it may run. */
async function onOneProcessor<T>(run: () => Promise<T>): Promise<T> {
  const me = String(process.pid);
  const before = execFileSync("taskset", ["-p", me], { encoding: "utf8" }).trim().split(" ").at(-1) ?? "ff";
  const list = execFileSync("taskset", ["-cp", me], { encoding: "utf8" }).trim();
  execFileSync("taskset", ["-cp", /(\d+)$/.exec(list)?.[1] ?? "0", me]);
  try {
    return await run();
  } finally {
    execFileSync("taskset", ["-p", before, me]);
  }
}

/** In the seed's order; a podtap VM with its default binding stands where the talk has a KubeVirt VM. */
function seedScenarios(): readonly string[] {
  const byDefault = registry.all.find(({ spelling }) =>
    Object.hasOwn(spelling, DEFAULT_SETTINGS.defaultBinding),
  );
  const bypass = registry.all.find(({ traits }) => traits.path === "redirected");
  return [...BY_HAND.map(({ name }) => name), byDefault, bypass].flatMap((one) =>
    one === undefined ? [] : typeof one === "string" ? one : one.bindingName,
  );
}
