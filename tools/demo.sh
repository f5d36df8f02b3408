#!/usr/bin/env bash
# `make demo`: a VM from a manifest, running, reached through its declared port and through its Service, each step
# with its time. Leaves the VM running, to look around in; a second run finds it and takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; else bold= dim= plain=; fi
manifest=examples/vm-masquerade.yaml
podtap=bin/podtap
layout=$PWD/.cache/guest/oci
began=$EPOCHREALTIME

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }
step() { started=$EPOCHREALTIME; printf '\n%s── %s%s\n' "$bold" "$*" "$plain"; }
took() { printf '%s   %s%s\n' "$dim" "$(seconds_since "$started")" "$plain"; }
shown() { printf '%s$ %s%s\n' "$dim" "$*" "$plain"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || { echo "demo: making network namespaces needs root; try: sudo make demo" >&2; exit 3; }

step "a small guest, built from Debian packages (once)"
tools/guest/build.sh
took

step "podtap up $manifest"
up=("$podtap" up "$manifest"
  --image-override "podtap.local/demo=oci:$layout:demo"
  --image-override "podtap.local/demo-kernel=oci:$layout:demo-kernel")
shown "${up[@]}"
"${up[@]}"
took

# field PATH: of the JSON on stdin, by keys and indexes with dots between.
field() {
  node -e 'let v = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    for (const key of process.argv[1].split(".")) v = v?.[key];
    if (v === undefined) process.exit(1); console.log(v)' "$1"
}
pod_ip=$("$podtap" get vmi demo -o json | field status.interfaces.0.ipAddress) || die "the VM has no address; see: $podtap describe vmi demo"
cluster_ip=$("$podtap" get svc demo -o json | field spec.clusterIP) || die "the Service has no address; see: $podtap describe svc demo"

fetch() { curl --silent --show-error --fail --noproxy '*' --max-time 3 "$@"; }
step "its web page, through the declared port 80 of the pod's address"
deadline=$((SECONDS + 60))
until fetch --output /dev/null "http://$pod_ip/" 2>/dev/null; do
  [ $SECONDS -lt $deadline ] || { "$podtap" logs demo --source serial --tail 20 >&2 || true; die "the guest does not serve on $pod_ip:80; its console is above"; }
  sleep 0.2
done
shown curl "http://$pod_ip/"
fetch "http://$pod_ip/"
took

step "the same page, through the Service's address"
shown curl "http://$cluster_ip:8080/"
fetch "http://$cluster_ip:8080/"
took

step "a port that nobody declared stays closed"
if fetch --max-time 1 --output /dev/null "http://$pod_ip:8081/" 2>/dev/null; then die "port 8081 answered"; fi
echo "http://$pod_ip:8081/ does not answer"
took

cat <<END

${bold}The VM is running.${plain} Look around:

  $podtap get                 what runs, and where it is reached
  $podtap describe vmi demo   its NIC, both addresses, what happened
  $podtap ssh demo@demo       log in (password: demo)
  $podtap console demo        the serial console; Ctrl-] leaves
  $podtap plan demo --rules   how it is wired, rule by rule
  $podtap down --all          remove everything

${dim}everything took $(seconds_since "$began")${plain}
END
