#!/usr/bin/env bash
# Measures everything that docs/benchmarks.md tells, several times, and writes the figures there. Needs root, a built
# podtap (`make setup`) and the demo guest (`make guest`); takes the better part of an hour.
# usage: tools/bench.sh [--quick]     --quick: one round, nothing written, for looking
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

rounds=${BENCH_ROUNDS:-5} many=1000 quick=
if [ "${1:-}" = --quick ]; then rounds=1 many=100 quick='--quick --rounds 6'; fi
[ "$(id -u)" = 0 ] || { echo "bench: making network namespaces needs root; try: sudo make bench" >&2; exit 3; }

results=.cache/bench
rm -rf "$results"
mkdir -p "$results"

# measure NAME ROUND WORDS...: one run, its report beside the machine's load.
measure() {
  local name=$1 round=$2
  shift 2
  printf '%s (%s of %s): bin/podtap bench %s   load %s\n' "$name" "$round" "$rounds" "$*" "$(cut -d' ' -f1-3 /proc/loadavg)" >&2
  cut -d' ' -f1 /proc/loadavg > "$results/$name.$round.load"
  bin/podtap bench "$@" -o json > "$results/$name.$round.json" 2> "$results/$name.$round.log" ||
    { cat "$results/$name.$round.log" >&2; exit 1; }
}

for round in $(seq "$rounds"); do
  measure phase1 "$round" phase1 --binding masquerade --nics 50
  measure apply "$round" apply --binding masquerade
  measure memory "$round" memory --binding masquerade
  measure dhcp "$round" dhcp
done
# Long, and once is enough to see whether it is flat.
rounds=1
measure phase1-many 1 phase1 --binding masquerade --nics "$many"
measure phase1-all 1 phase1 --binding all --nics 50
measure datapath 1 datapath $quick
measure datapath-qemu 1 datapath --guest qemu $quick

if [ "${1:-}" = --quick ]; then
  node tools/render-benchmarks.ts "$results"
else
  node tools/render-benchmarks.ts "$results" docs/benchmarks.md docs/benchmarks-datapath.md
  echo "written: docs/benchmarks.md, docs/benchmarks-datapath.md" >&2
fi
