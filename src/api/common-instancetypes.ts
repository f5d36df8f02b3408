/**
 * The instancetypes that KubeVirt brings along (`kubevirt/common-instancetypes`), by what they give a guest: CPUs and
 * memory. Huge pages and pinned CPUs, which some of them ask for besides, need a machine set up for it.
 */

/** CPUs, and memory a CPU in GiB, of every size. */
const SIZES: Readonly<Record<string, number>> = {
  medium: 1,
  large: 2,
  xlarge: 4,
  "2xlarge": 8,
  "4xlarge": 16,
  "8xlarge": 32,
};
/** Series that grow evenly, from `medium` or from `large` on. */
const SERIES: Readonly<Record<string, { readonly gibibytes: number; readonly from: "medium" | "large" }>> = {
  u1: { gibibytes: 4, from: "large" },
  o1: { gibibytes: 4, from: "large" },
  d1: { gibibytes: 4, from: "large" },
  cx1: { gibibytes: 2, from: "medium" },
  m1: { gibibytes: 8, from: "large" },
};
/** Sizes below `large` of the series that have them. */
const SMALL: Readonly<Record<string, readonly [number, string]>> = {
  nano: [1, "512Mi"],
  micro: [1, "1Gi"],
  small: [1, "2Gi"],
  medium: [1, "4Gi"],
  "2xmedium": [2, "4Gi"],
};

type Instancetype = Readonly<Record<string, unknown>>;

function instancetype(guest: number, memory: string): Instancetype {
  return { cpu: { guest }, memory: { guest: memory } };
}

export const COMMON_INSTANCETYPES: ReadonlyMap<string, Instancetype> = new Map([
  ...Object.entries(SERIES).flatMap(([series, { gibibytes, from }]) =>
    Object.entries(SIZES)
      .filter(([size]) => size !== "medium" || from === "medium")
      .map(([size, cpus]) => [`${series}.${size}`, instancetype(cpus, `${cpus * gibibytes}Gi`)] as const),
  ),
  ...["u1", "o1", "d1"].flatMap((series) =>
    Object.entries(SMALL).map(
      ([size, [cpus, memory]]) => [`${series}.${size}`, instancetype(cpus, memory)] as const,
    ),
  ),
]);
