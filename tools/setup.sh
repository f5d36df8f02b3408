#!/usr/bin/env bash
# Installs what is missing, once: Debian packages, npm packages (Node 24 among them), and builds dist/.
# Idempotent; the second run takes well under a second. Says what it does while it does it.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  # running VMs
  catatonit libvirt-daemon libvirt-daemon-driver-qemu libvirt0 libvirt-clients qemu-system-x86 qemu-utils
  containernetworking-plugins libnftables1 nftables iproute2 xorriso skopeo openssh-client util-linux passt
  # building guests and testing with real clients
  mtools syslinux syslinux-common zstd lz4 cpio udhcpc isc-dhcp-client dhcpcd tcpdump sockperf qperf iperf3
  dnsmasq-base kea-admin ndisc6 libxml2-utils sshpass curl socat iputils-ping
  gcc libc6-dev binutils xz-utils busybox systemd
  # building the outer guest (tools/outer)
  mmdebstrap e2fsprogs kmod
)
# Any kubectl will do; Debian's package would not go beside one that another package brought.
command -v kubectl >/dev/null || packages+=(kubernetes-client)

say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }
[ -n "${NO_COLOR:-}" ] || [ ! -t 2 ] && say() { printf '%s\n' "$*" >&2; }

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "setup: root is needed to install: ${missing[*]}" >&2; exit 1; }
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  # Several runs may meet at dpkg's lock; wait for it rather than fail.
  apt=(apt-get -o DPkg::Lock::Timeout=300 -qq)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages"
  # Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, which a registry may lack.
  npm install --no-save --no-progress --loglevel=error >/dev/null
  [ -x node_modules/.bin/node ] || { echo "setup: npm install brought no Node; run it by hand to see why" >&2; exit 1; }
  touch node_modules/.package-lock.json
fi

if [ ! -f dist/cli.js ] || [ -n "$(find src bench tools/build.ts tools/lean-builtins.ts package.json -newer dist/cli.js -type f -print -quit)" ]; then
  say "building"
  node_modules/.bin/node tools/build.ts
fi
