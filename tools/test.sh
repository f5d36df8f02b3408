#!/usr/bin/env bash
# Everything, as CI runs it: set up, check, unit tiers, then the root tiers. Ends with one line of totals.
set -uo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh || exit 1
export PATH="$PWD/node_modules/.bin:$PATH"
started=$SECONDS passed=0 failed=0 skipped=0 lacking=0 broken=0
log=$(mktemp) failures=$(mktemp); trap 'rm -f "$log" "$failures"' EXIT

tier() { # tier NAME COMMAND…
  local name=$1 begun=$SECONDS; shift
  echo "── $name"
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]}
  # node's runner ends with "ℹ pass N", "ℹ fail N", "ℹ skipped N" ("# pass N" where it prints TAP).
  passed=$((passed + $(count pass))); failed=$((failed + $(count fail))); skipped=$((skipped + $(count skipped)))
  local told; told=$(failing "$name")
  [ "$status" = 0 ] || printf '%s\n' "${told:-✖ $name: exit $status, and no test says why}" >>"$failures"
  # What this machine's kernel lacks (test/support/requires.ts) the outer guest has, where none may be skipped.
  [ "$name" = outer ] || lacking=$((lacking + $(grep -cE '^ *﹣ .*# the kernel lacks ' "$log")))
  [ "$status" = 0 ] || { broken=1; echo "── $name FAILED (exit $status)"; }
  echo "── $name took $((SECONDS - begun)) s"
}
count() { grep -oE "^(ℹ|#) $1 [0-9]+" "$log" | grep -oE '[0-9]+$' | awk '{ sum += $1 } END { print sum + 0 }'; }
# A line each, for the end: who reads a log by its tail is to find them there. Of node's closing section: where, what, why.
failing() {
  awk -v tier="$1" '
    /^✖ failing tests:/ { section = 1; next }
    /^(──|ℹ) / { section = 0 }
    !section { next }
    /^ *test at / { where = $3; name = ""; next }
    /^ *✖ / { name = $0; sub(/^ *✖ /, "", name); sub(/ \([0-9.]+ms\)$/, "", name); next }
    name != "" && NF { sub(/^ +/, ""); print "✖ " tier ": " where ": " name ": " substr($0, 1, 160); name = "" }
  ' "$log"
}

tier check npm run --silent check
tier unit npm run --silent test:unit
if [ "$(id -u)" = 0 ]; then
  tier netns tools/run-tests.sh netns
  tier guest tools/guest/build.sh
  tier vm tools/run-tests.sh vm
  tier userland tools/outer/userland.sh
  PODTAP_OUTER_GUESTS=2 tier outer tools/outer/run.sh
else
  echo "── not root: the netns, vm, userland and outer tiers were left out"
fi
cat "$failures"
echo "── everything took $((SECONDS - started)) s"
[ "$lacking" = 0 ] || echo "$lacking of the skipped need what this machine's kernel lacks"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$broken" = 0 ] && [ "$failed" = 0 ] && { [ "$skipped" = "$lacking" ] || [ -z "${CI:-}" ]; }
