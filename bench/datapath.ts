/**
 * `podtap bench datapath`: round trips and throughput of every binding against a direct tap, and the seed's two
 * latency tables. The guest is a namespace, so that the wiring is what is measured and not an emulated processor; or,
 * by `--guest qemu`, a machine.
 */
import { registry } from "../src/bindings/index.ts";
import { DEFAULT_SETTINGS } from "../src/bindings/settings.ts";
import { hostFeatures } from "../src/linux/features.ts";
import type { GuestKind, Station } from "./datapath/guest.ts";
import { type Lab, openLab } from "./datapath/lab.ts";
import { type Cell, type Figures, measure } from "./datapath/measure.ts";
import { NAMESPACES } from "./datapath/namespace-kind.ts";
import { placed } from "./datapath/processors.ts";
import { qemuKind } from "./datapath/qemu-kind.ts";
import { type Compared, compare, type DatapathReport } from "./datapath/report.ts";
import { AS_THE_SEED, DIRECT, NAT_BY_HAND, type Scenario, scenarioOf } from "./datapath/scenarios.ts";
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
  readonly guest?: "namespace" | "qemu";
  /** Default: what the kind of guest needs for narrow intervals. */
  readonly rounds?: number;
  /** A cell. */
  readonly durationMs?: number;
  /** Only the overview, without the seed's tables. */
  readonly quick?: boolean;
  readonly signal?: AbortSignal;
  note(text: string): void;
}): Promise<DatapathReport> {
  const { quick = false, signal, note } = options;
  const kind = options.guest === "qemu" ? await qemuKind() : NAMESPACES;
  const { rounds = kind.rounds, durationMs: milliseconds = kind.milliseconds } = options;
  const { scenarios, leftOut } = choose(kind);
  const table = seedScenarios();
  const sizes = quick ? [] : SEED_SIZES;
  const bySize = sizes.flatMap((size): readonly Cell[] => [
    { kind: "tcp", size },
    { kind: "udp", size: Math.min(size, LARGEST_DATAGRAM) },
  ]);
  const shared = { rounds, milliseconds, note, ...(signal && { signal }) };
  const paths = new Map(scenarios.map(({ name, path }) => [name, path]));
  const compared = (figures: Figures, cells: readonly Cell[]): readonly Compared[] =>
    compare(figures, cells, paths, DIRECT);
  const parts = await inLab(kind, scenarios, { note, ...(signal && { signal }) }, async (guests, lab) => {
    const latency = async (): Promise<readonly (readonly Compared[])[]> => {
      const five = new Map([...guests].filter(([name]) => table.includes(name)));
      return [
        compared(await measure({ guests, cells: LATENCY, ...shared }), LATENCY),
        ...(quick ? [] : [compared(await measure({ guests: five, cells: bySize, ...shared }), bySize)]),
      ];
    };
    const streams = async (): Promise<readonly Compared[]> =>
      compared(await measure({ guests, cells: STREAMS, ...shared }), STREAMS);
    return [
      ...(await placed(kind.placement.latency, lab, latency)),
      await placed(kind.placement.streams, lab, streams),
    ];
  });
  return {
    name: "datapath",
    guest: kind.text,
    processors: kind.processors,
    rounds,
    millisecondsPerCell: milliseconds,
    mtu: MTU,
    baseline: DIRECT,
    scenarios: scenarios.map(({ name, path }) => ({
      scenario: name,
      path,
      cells: Object.assign(
        {},
        // The 64 bytes of the overview are of all scenarios in the same rounds.
        ...parts.toReversed().map((part) => part.find(({ scenario }) => scenario === name)?.cells ?? {}),
      ),
    })),
    leftOut,
    table: { scenarios: table, sizes },
  };
}

/** Every binding that this host carries and this guest can be joined to. */
function choose(kind: GuestKind): {
  readonly scenarios: readonly Scenario[];
  readonly leftOut: DatapathReport["leftOut"];
} {
  const features = hostFeatures();
  const judged = registry.all.map((binding) => ({
    binding,
    why: kind.cannotJoin(binding.traits) ?? binding.lacking(features),
  }));
  return {
    scenarios: [
      ...AS_THE_SEED,
      NAT_BY_HAND,
      ...judged.filter(({ why }) => why === undefined).map(({ binding }) => scenarioOf(binding)),
    ],
    leftOut: judged.flatMap(({ binding, why }) =>
      why === undefined ? [] : [{ scenario: binding.bindingName, why }],
    ),
  };
}

async function inLab<T>(
  kind: GuestKind,
  scenarios: readonly Scenario[],
  { note, signal }: { note(text: string): void; readonly signal?: AbortSignal },
  run: (guests: ReadonlyMap<string, Station>, lab: Lab) => Promise<T>,
): Promise<T> {
  const lab = openLab(MTU);
  try {
    const guests = new Map<string, Station>();
    for (const [i, scenario] of scenarios.entries()) {
      signal?.throwIfAborted();
      note(`guest behind ${scenario.name}\n`);
      guests.set(scenario.name, await scenario.open(lab, `10.98.0.${10 + i}`, kind));
    }
    return await run(guests, lab);
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
  return [...AS_THE_SEED.map(({ name }) => name), byDefault, bypass].flatMap((one) =>
    one === undefined ? [] : typeof one === "string" ? one : one.bindingName,
  );
}
