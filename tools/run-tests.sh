#!/usr/bin/env bash
# Runs one tier of root tests in a private network and mount namespace: the runner is the host of the test, so
# nothing of it is left outside, whatever happens.   usage: tools/run-tests.sh netns|vm [FILE…]
set -euo pipefail
cd "$(dirname "$0")/.."
tier=$1; shift
files=("$@")
[ ${#files[@]} -gt 0 ] || files=(test/"$tier"/*.test.ts)
[ "$(id -u)" = 0 ] || { echo "run-tests: the $tier tier needs root" >&2; exit 3; }
export PATH="$PWD/node_modules/.bin:$PATH" PODTAP_REQUIRE="${PODTAP_REQUIRE-root,nft,cni,qemu,libvirt}"
exec unshare --net --mount --propagation private -- /bin/bash -c '
  ip link set lo up
  mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns; }
  exec node --disable-warning=ExperimentalWarning --test --test-concurrency="${PODTAP_TEST_CONCURRENCY:-2}" \
    --test-timeout="${PODTAP_TEST_TIMEOUT:-300000}" "$@"
' run-tests "${files[@]}"
