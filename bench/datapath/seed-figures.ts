/**
 * The latency tables of the talk in shared/seeds (Kube-OVN and KubeVirt, KCD Beijing 2025), microseconds, as printed:
 * no number of runs, no deviation, no description of the host. Shown beside our own for their direction only.
 */

export const SEED_SIZES = [65536, 32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64] as const;

/** One UDP datagram holds 65,507 bytes (65,535 less the IPv4 and UDP headers): the seed's column is not valid. */
export const LARGEST_DATAGRAM = 65507;

export const SEED_SCENARIOS = [
  "custom VM, direct tap",
  "custom VM, tap + bridge + veth",
  "custom VM, tc bypass",
  "KubeVirt VM",
  "KubeVirt VM + tc bypass",
] as const;

export const SEED_TCP: readonly (readonly number[])[] = [
  [135, 87.4, 71.2, 59.5, 57.8, 55.3, 48.9, 49.5, 47.3, 49.0, 48.5],
  [133, 92.1, 74.6, 68.3, 65.8, 60.2, 55.1, 54.9, 54.2, 54.5, 55.7],
  [134, 94.6, 74.7, 61.1, 60.7, 57.1, 51.3, 50.5, 49.3, 51.3, 49.9],
  [130, 86.0, 70.8, 60.1, 58.8, 55.3, 49.4, 49.0, 49.3, 48.7, 47.7],
  [136, 85.8, 70.9, 59.6, 58.6, 54.0, 47.6, 48.2, 48.9, 48.7, 48.0],
];

/** The first column, of 64 KiB, cannot be: nothing of that size was sent in one datagram. */
export const SEED_UDP: readonly (readonly number[])[] = [
  [0, 250, 138, 85.0, 63.1, 58.1, 44.9, 43.6, 43.0, 42.7, 43.2],
  [458, 291, 157, 102, 74.8, 65.2, 49.1, 49.8, 49.7, 49.4, 48.5],
  [0, 268, 151, 90.4, 68.8, 60.6, 46.6, 45.7, 45.4, 45.0, 44.5],
  [0, 269, 163, 93.8, 67.5, 60.7, 46.1, 44.8, 44.6, 44.8, 43.0],
  [0, 251, 142, 89.2, 65.5, 56.2, 44.3, 43.4, 43.1, 43.0, 42.2],
];
