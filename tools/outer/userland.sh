#!/usr/bin/env bash
# Runs tests with the programs of the outer guest (Debian 13: newer libvirt, QEMU and passt) on this machine's kernel:
# guests are as fast as anywhere here, where those in the outer guest are emulated twice.
#
#   tools/outer/userland.sh [FILE…]      default: test/userland/*.test.ts
#
# Needs root. The root file system is the outer guest's image with a layer in memory over it, the project is in its
# usual place, read-only; all of it is in a mount namespace, and gone with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/outer/build.sh
files=("$@")
[ ${#files[@]} -gt 0 ] || files=(test/userland/*.test.ts)
export PODTAP_REQUIRE=${PODTAP_REQUIRE-all}
unset NODE_EXTRA_CA_CERTS # a file of the other root
exec unshare --mount --propagation private -- /bin/bash -euo pipefail -c '
  project=$PWD
  place=$project/.cache/outer/userland
  mkdir -p "$place"
  mount -t tmpfs tmpfs "$place"
  cd "$place"
  mkdir image upper work root
  mount -o loop,ro ../root.img image
  mount -t overlay overlay -o lowerdir=image,upperdir=upper,workdir=work root
  cd root
  for folder in dev proc sys; do mount --rbind "/$folder" "$folder"; done
  for folder in run tmp; do mount -t tmpfs tmpfs "$folder"; done
  mkdir -p "./$project" old
  mount --bind -o ro "$project" "./$project"
  pivot_root . old
  umount --lazy /old
  cd "$project"
  exec tools/run-tests.sh userland "$@"
' userland "${files[@]}"
