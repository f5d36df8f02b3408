#!/usr/bin/env bash
# Runs root tests, or any command, in the outer guest: a Debian 13 with a full kernel under TCG (tools/outer/build.sh).
#
#   tools/outer/run.sh                       the root tests of every binding and of what they stand on
#   tools/outer/run.sh bridge kernel         those whose file name has one of these words
#   tools/outer/run.sh -- ip link            a command (the project is at /outer, read-only)
#   tools/outer/run.sh --shell               a shell on this terminal; `exit` powers off
#
# Output is streamed, the exit status is the command's. One run at a time: others wait. Variables:
#   PODTAP_OUTER_GUESTS    guests that share the files of tests between them (1)
#   PODTAP_OUTER_TIMEOUT   seconds until the guests are stopped (1800)
#   PODTAP_OUTER_MEMORY    megabytes of each (2048)
#   PODTAP_OUTER_CMDLINE   added to the kernel's command line, as in module_blacklist=dummy,8021q
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
say() { printf '%s\n' "outer: $*" >&2; }

# What is neither a binding nor the kernel under one (containers, clients of DHCP, Services), and what takes longest and
# asks again what others ask: the matrix, a NIC given back after a kill at each of its steps, and firewalls' rules without
# the firewalls (test/outer has them). By name they are had.
not_by_default='/(matrix|pod-nic|host-firewall|sandbox|services|api-access|guest-services|cni|namespace-guest|net-worker|netns|packet-socket)\.test\.ts$'
shell= command= files=()
case ${1:-} in
  --shell) shell=1 ;;
  --) shift; command=$(printf '%q ' "$@") ;;
  *)
    for file in test/netns/*.test.ts test/outer/*.test.ts; do
      if [ $# = 0 ]; then
        [[ $file =~ $not_by_default ]] || files+=("$file")
      else
        for word in "$@"; do [[ $file != *"$word"* ]] || { files+=("$file"); break; }; done
      fi
    done
    [ ${#files[@]} -gt 0 ] || { say "no file in test/netns or test/outer has a name with: $*"; exit 2; }
    ;;
esac
guests=${PODTAP_OUTER_GUESTS:-1}
[ $guests -le ${#files[@]} ] || guests=1

tools/outer/build.sh
cache=.cache/outer
# The copy of the project is shared, and two cores carry no two emulated machines.
exec 8>"$cache/run.lock"
flock -n 8 || { say "another outer guest is running; waiting"; flock -w "${PODTAP_OUTER_WAIT:-1800}" 8; }
node --disable-warning=ExperimentalWarning tools/outer/strip.ts "$cache/project"

job=$(mktemp -d /tmp/podtap-outer.XXXXXX)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$job"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What a guest does: the command, or the next file that no other guest has taken, as long as there are any. Of several
# guests each tells of a file when it is through with it, so that their words do not mix.
write_command() { # write_command GUEST
  if [ ${#files[@]} = 0 ]; then printf '%s\n' "$command"; return; fi
  printf 'export %s=%q\n' PODTAP_REQUIRE "${PODTAP_REQUIRE-all}" PODTAP_MATRIX "${PODTAP_MATRIX-dual}" PODTAP_TEST_TIMEOUT "${PODTAP_TEST_TIMEOUT:-300000}" \
    NODE_OPTIONS --import=/outer/tools/outer/plain-types.mjs PODTAP_TEST_CONCURRENCY 1 PODTAP_TEST_PATIENCE 4 GUESTS "$guests"
  cat <<'SCRIPT'
status=0
while read -r file; do
  mkdir "/job/taken/${file##*/}" 2>/dev/null || continue
  begun=$SECONDS
  if [ "$GUESTS" = 1 ]; then
    echo "── outer: $file"
    tools/run-tests.sh netns "$file" </dev/null || status=1
  else
    tools/run-tests.sh netns "$file" </dev/null >/tmp/output 2>&1 || status=1
    { echo "── outer: $file"; cat /tmp/output; } >/tmp/whole
    cat /tmp/whole
  fi
  echo $((SECONDS - begun)) >"/job/seconds/${file##*/}"
done </job/files
exit $status
SCRIPT
}
# The longest first, as of the last run; new ones before them.
mkdir -p "$job/taken" "$job/seconds" "$cache/seconds"
for file in "${files[@]}"; do
  printf '%s %s\n' "$(cat "$cache/seconds/${file##*/}" 2>/dev/null || echo 9999)" "$file"
done | sort -rn -k1,1 -s | cut -d' ' -f2 >"$job/files"

fsdev() { printf '%s\n' -fsdev "local,id=$1,path=$2,security_model=none$3" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1"; }
mapfile -t shares < <(
  fsdev job "$job" ""
  fsdev project "$PWD/$cache/project" ,readonly=on
  fsdev modules "$PWD/node_modules" ,readonly=on
)
# One CPU a guest: emulated by several threads, Debian 12's QEMU loses a race with a kernel that patches itself (int3
# in a jump label, panic). Two guests use two cores better anyhow.
arguments=(
  -nodefaults -no-user-config -no-reboot -display none -machine q35 -accel tcg,tb-size=512 -cpu max -smp 1
  -m "${PODTAP_OUTER_MEMORY:-2048}" -kernel "$cache/vmlinuz" -initrd "$cache/initrd"
  -drive "file=$cache/root.img,format=raw,if=virtio,snapshot=on" -device virtio-rng-pci "${shares[@]}"
)
boot() { # boot GUEST SERIAL
  mkdir "$job/$1"
  : >"$job/$1/output"
  exec nice -n "${PODTAP_OUTER_NICE:-5}" qemu-system-x86_64 "${arguments[@]}" -serial "$2" -append "console=ttyS0 quiet panic=-1 \
mitigations=off nokaslr tsc=reliable random.trust_cpu=on rcupdate.rcu_expedited=1 init_on_alloc=0 nowatchdog audit=0 apparmor=0 \
outer.guest=$1 ${PODTAP_OUTER_CMDLINE:-}" 8>&-
}
if [ -n "$shell" ]; then
  echo 'exec setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1' >"$job/command"
  (boot 1 mon:stdio)
  exit 0
fi

write_command >"$job/command"
readers=()
for guest in $(seq "$guests"); do
  (boot "$guest" "file:$job/$guest.console") </dev/null &
  pids+=($!)
done
for guest in $(seq "$guests"); do
  until [ -e "$job/$guest/output" ]; do sleep 0.05; done
  tail -c +1 -f --pid="${pids[guest - 1]}" "$job/$guest/output" 8>&- &
  readers+=($!)
done
(
  sleep "${PODTAP_OUTER_TIMEOUT:-1800}" 8>&- &
  trap 'kill $!; exit' TERM
  wait $!
  say "stopped after ${PODTAP_OUTER_TIMEOUT:-1800} s"
  kill "${pids[@]}" 2>/dev/null
) 8>&- & watchdog=$!
wait "${pids[@]}" || true
kill $watchdog 2>/dev/null || true
wait "${readers[@]}" || true
cp "$job"/seconds/* "$cache/seconds/" 2>/dev/null || true
worst=0
for guest in $(seq "$guests"); do
  if [ ! -e "$job/$guest/status" ]; then
    say "guest $guest ended without a status; its console:"
    tail -n 40 "$job/$guest.console" >&2
    worst=125
  elif [ "$(cat "$job/$guest/status")" != 0 ]; then
    worst=$(cat "$job/$guest/status")
  fi
done
exit "$worst"
