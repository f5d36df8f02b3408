#!/usr/bin/env bash
# Format, lint, types, layers, house rules, unused files. Types take as long as all the rest, so they go beside it.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
types=$(mktemp); trap 'rm -f "$types"' EXIT
tsc -b >"$types" 2>&1 & compiler=$!
failed=0
biome check . || failed=1
depcruise --config .dependency-cruiser.cjs src || failed=1
node tools/check-house.ts || failed=1
knip || failed=1
wait "$compiler" || failed=1
cat "$types"
exit $failed
