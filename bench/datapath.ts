/**
 * `podtap bench datapath`: round trips and throughput of every binding against a direct tap, and the seed's two
 * latency tables. A namespace plays the guest, so that the wiring is what is measured and not an emulated processor.
 */
import { registry } from "../src/bindings/index.ts";
import { DEFAULT_SETTINGS } from "../src/bindings/settings.ts";
import { openLab } from "./datapath/lab.ts";
import { type Cell, measure } from "./datapath/measure.ts";
import { compare, type DatapathReport } from "./datapath/report.ts";
import { BY_HAND, DIRECT, type Scenario, scenarioOf } from "./datapath/scenarios.ts";
import { LARGEST_DATAGRAM, SEED_SIZES } from "./datapath/seed-figures.ts";

const OVERVIEW: readonly Cell[] = [
  { kind: "tcp", size: 64 },
  { kind: "udp", size: 64 },
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
  const lab = openLab();
  try {
    const guests = new Map<string, Awaited<ReturnType<Scenario["open"]>>>();
    for (const [i, scenario] of scenarios.entries()) {
      guests.set(scenario.name, await scenario.open(lab, `10.98.0.${10 + i}`));
    }
    const shared = { rounds, milliseconds, note };
    const figures = await measure({ guests, cells: OVERVIEW, ...shared });
    const table = seedScenarios();
    const sizes = quick ? [] : SEED_SIZES;
    const cells = sizes.flatMap((size): readonly Cell[] => [
      { kind: "tcp", size },
      { kind: "udp", size: Math.min(size, LARGEST_DATAGRAM) },
    ]);
    const five = new Map([...guests].filter(([name]) => table.includes(name)));
    const more = quick ? new Map() : await measure({ guests: five, cells, ...shared });
    const paths = new Map(scenarios.map(({ name, path }) => [name, path]));
    const all = compare(figures, OVERVIEW, paths, DIRECT);
    const tables = compare(more, cells, paths, DIRECT);
    return {
      name: "datapath",
      guest: "a namespace behind the tap, joined to it as QEMU would be (test/support/relay.c)",
      rounds,
      millisecondsPerCell: milliseconds,
      mtu: lab.mtu,
      baseline: DIRECT,
      scenarios: all.map((one) => ({
        ...one,
        cells: { ...tables.find(({ scenario }) => scenario === one.scenario)?.cells, ...one.cells },
      })),
      table: { scenarios: table, sizes },
    };
  } finally {
    await lab.close();
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
