#!/usr/bin/env bash
# Runs root tests, or any command, in the outer guest: a Debian 13 with a full kernel under TCG (tools/outer/build.sh).
#
#   tools/outer/run.sh                       the root tests of every binding and of what they stand on
#   tools/outer/run.sh bridge kernel         those whose file name has one of these words
#   tools/outer/run.sh -- ip link            a command (the project is at /outer, read-only)
#   tools/outer/run.sh --shell               a shell on this terminal; `exit` powers off
#
# Output is streamed, the exit status is the command's. One guest at a time: others wait. Variables:
#   PODTAP_OUTER_TIMEOUT   seconds until the guest is stopped (600)
#   PODTAP_OUTER_CPUS      virtual CPUs (2)          PODTAP_OUTER_MEMORY  megabytes (3072)
#   PODTAP_OUTER_CMDLINE   added to the kernel's command line, as in module_blacklist=dummy,8021q
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
say() { printf '%s\n' "outer: $*" >&2; }

# Whole machine, its libvirt and its images, which the guest does not have.
not_here='/(sandbox|services|cni|api-access)\.test\.ts$'
shell=
case ${1:-} in
  --shell) shell=1 ;;
  --) shift; command=$(printf '%q ' "$@") ;;
  *)
    files=()
    for file in test/netns/*.test.ts; do
      if [ $# = 0 ]; then
        [[ $file =~ $not_here ]] || files+=("$file")
      else
        for word in "$@"; do [[ $file != *"$word"* ]] || { files+=("$file"); break; }; done
      fi
    done
    [ ${#files[@]} -gt 0 ] || { say "no file in test/netns has a name with: $*"; exit 2; }
    command="PODTAP_REQUIRE=${PODTAP_REQUIRE-all} NODE_OPTIONS='--import=/outer/tools/outer/plain-types.mjs' \
      PODTAP_TEST_CONCURRENCY=${PODTAP_TEST_CONCURRENCY:-2} tools/run-tests.sh netns ${files[*]}"
    ;;
esac

tools/outer/build.sh
cache=.cache/outer
# The copy of the project is shared, and two cores carry no two emulated machines.
exec 8>"$cache/run.lock"
flock -n 8 || { say "another outer guest is running; waiting"; flock -w "${PODTAP_OUTER_WAIT:-1800}" 8; }
node --disable-warning=ExperimentalWarning tools/outer/strip.ts "$cache/project"

job=$(mktemp -d /tmp/podtap-outer.XXXXXX)
qemu=
stop() {
  [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
  rm -rf "$job"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
: >"$job/output"
serial="file:$job/console"
if [ -n "$shell" ]; then
  echo 'exec setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1' >"$job/command"
  serial=mon:stdio
else
  printf '%s\n' "$command" >"$job/command"
fi

fsdev() { printf '%s\n' -fsdev "local,id=$1,path=$2,security_model=none$3" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1"; }
mapfile -t shares < <(
  fsdev job "$job" ""
  fsdev project "$PWD/$cache/project" ,readonly=on
  fsdev modules "$PWD/node_modules" ,readonly=on
)
arguments=(
  -nodefaults -no-user-config -no-reboot -display none -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max
  -smp "${PODTAP_OUTER_CPUS:-2}" -m "${PODTAP_OUTER_MEMORY:-3072}" -kernel "$cache/vmlinuz" -initrd "$cache/initrd"
  -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on ${PODTAP_OUTER_CMDLINE:-}"
  -drive "file=$cache/root.img,format=raw,if=virtio,snapshot=on"
  -device virtio-rng-pci -serial "$serial" "${shares[@]}"
)
if [ -n "$shell" ]; then
  qemu-system-x86_64 "${arguments[@]}"
  exit 0
fi
nice -n "${PODTAP_OUTER_NICE:-5}" qemu-system-x86_64 "${arguments[@]}" </dev/null 8>&- &
qemu=$!
tail -c +1 -f --pid="$qemu" "$job/output" 8>&- & reader=$!
deadline=$((SECONDS + ${PODTAP_OUTER_TIMEOUT:-600}))
while kill -0 "$qemu" 2>/dev/null; do
  [ $SECONDS -lt $deadline ] || { say "stopped after ${PODTAP_OUTER_TIMEOUT:-600} s"; kill "$qemu"; qemu=; sleep 0.2; exit 124; }
  sleep 0.1
done
wait "$qemu" || true
qemu=
wait "$reader" || true
if [ ! -e "$job/status" ]; then
  say "the guest ended without a status; its console:"
  tail -n 40 "$job/console" >&2
  exit 125
fi
exit "$(cat "$job/status")"
