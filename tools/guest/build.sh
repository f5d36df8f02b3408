#!/usr/bin/env bash
# Builds the test and demo guest from Debian packages: kernel, initramfs, a bootable disk, and an OCI layout that
# carries both as images. usage: tools/guest/build.sh [outdir=.cache/guest]
#
#   vmlinuz      the kernel as a plain ELF: QEMU enters it by PVH and nothing is decompressed (saves 2.7 s under TCG)
#   initramfs    the whole guest, uncompressed; root file system in memory
#   disk.img     the same guest on a FAT disk with syslinux, for SeaBIOS; its kernel unpacks by unpack.S
#   oci/         layout with the tags `demo` (containerDisk) and `demo-kernel` (kernelBoot container)
#
# Idempotent: a stamp over this folder and the versions of the packages. No root; apt's lists must be there.
# Finished files appear by rename, so an interrupted build leaves the former one or none.
set -euo pipefail
shopt -s nullglob
umask 022
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../.cache/guest}
mkdir -p "$out"
out=$(cd "$out" && pwd)

say() { printf '%s\n' "guest: $*" >&2; }
die() { say "$*"; exit 1; }

kernel_package() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }'; }
# Parts of the initramfs, and those that are unpacked at first use.
packages=(
  busybox-static dropbear-bin qemu-guest-agent dhcpcd-base
  libc6 libcrypt1 libtomcrypt1 libtommath1 libgmp10 zlib1g libglib2.0-0 libpcre2-8-0 libnuma1 libudev1 liburing2
)
extras=(iperf3 libiperf0 libssl3 libsctp1 sockperf libstdc++6 libgcc-s1 qperf libibverbs1 librdmacm1 libnl-3-200 libnl-route-3-200)

stamp_now() {
  (cd "$here" && find . -type f -print0 | sort -z | xargs -0 sha256sum
   stat -c '%Y %n' /var/lib/apt/lists/*Packages* 2>/dev/null) | sha256sum | cut -d' ' -f1
}
stamp=$(stamp_now)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && [ -e "$out/oci/index.json" ] && [ -e "$out/disk.img" ]; then
  say "up to date in $out"
  exit 0
fi

# Two builds at once would only do the same twice; the second waits and finds the stamp.
exec 9>"$out/lock"
flock 9
[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && { say "built meanwhile in $out"; exit 0; }

for tool in cpio mcopy mformat syslinux xz lz4 as ld objcopy readelf dpkg-deb flock; do
  command -v "$tool" >/dev/null || die "$tool is missing; tools/setup.sh installs it"
done
started=$EPOCHREALTIME
work=$out/work
rm -rf "$work"
mkdir -p "$work/root" "$work/extra" "$work/kernel" "$work/empty" "$out/debs"
trap 'rm -rf "$work"' EXIT

kernel=$(kernel_package)
if [ -z "$kernel" ] && [ "$(id -u)" = 0 ]; then
  say "apt has no package lists; fetching them"
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  kernel=$(kernel_package)
fi
[ -n "$kernel" ] || die "apt knows no linux-image-amd64; run apt-get update, then this again"

# One name_version_arch.deb a package, as apt calls it; those from former builds are kept.
fetch() {
  local wanted=() line file
  while read -r line; do
    file=$(cut -d' ' -f2 <<<"$line")
    debs+=("$out/debs/$file")
    [ -e "$out/debs/$file" ] || wanted+=("$file")
  done < <(cd "$work/empty" && apt-get -o APT::Sandbox::User=root download --print-uris "$@" 2>/dev/null)
  [ "${#debs[@]}" -ge "$#" ] || die "apt finds only ${#debs[@]} of these packages: $*"
  [ ${#wanted[@]} -gt 0 ] || return 0
  say "fetching ${#wanted[@]} Debian packages"
  (cd "$out/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2)
}
unpack() { # unpack DIR PACKAGE…
  local to=$1 debs=() deb
  shift
  fetch "$@"
  for deb in "${debs[@]}"; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$to" --exclude=./usr/share; done
}
say "unpacking packages"
unpack "$work/kernel" "$kernel"
mkdir "$work/parts" "$work/extra-parts"
unpack "$work/parts" "${packages[@]}"
unpack "$work/extra-parts" "${extras[@]}"

# --- kernel: the ELF inside the bzImage, found by its header (Documentation/arch/x86/boot.rst) ---
say "kernel $kernel"
bzimage=$(echo "$work"/kernel/boot/vmlinuz-*)
number() { od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
offset=$((($(number "$bzimage" $((0x1f1)) 1) + 1) * 512 + $(number "$bzimage" $((0x248)) 4)))
# Behind the xz stream come four bytes with the unpacked size, which xz calls garbage.
dd if="$bzimage" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count=$(($(number "$bzimage" $((0x24c)) 4) - 4)) status=none |
  xz -dc >"$work/vmlinuz"
[ "$(head -c4 "$work/vmlinuz" | tail -c3)" = ELF ] || die "no ELF found inside $bzimage"

# --- root file system ---
say "initramfs"
root=$work/root
version=$(basename "$work"/kernel/lib/modules/*)
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/lib,lib,dev,proc,sys,run,tmp,root,home,etc/dropbear,var/run,var/log,var/lib/dhcpcd,usr/lib/extra}
cp -a "$here/rootfs/." "$root/"
chmod 600 "$root/etc/shadow"
cp "$work/parts/bin/busybox" "$root/bin/busybox"
ln -s bin/busybox "$root/init"
while read -r applet; do
  [ -e "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] || ln -s busybox "$root/bin/$applet"
done < <("$root/bin/busybox" --list)
for special in modprobe poweroff reboot halt; do ln -s ../bin/busybox "$root/sbin/$special"; done

# Programs with the libraries they name, recursively, as the loader of that same root sees them.
add_program() { # add_program FROM TO PATH
  local from=$1 to=$2 path=$3 library line
  mkdir -p "$to/$(dirname "$path")"
  cp "$from/$path" "$to/$path"
  while read -r line; do
    case $line in
      *"=> $work/"*) library=${line#*=> } library=${library%% *} ;;
      # Found on this machine instead: the guest would not have it.
      *'=> '*) die "$path needs ${line%% *}, which no package of the list has" ;;
      *) continue ;;
    esac
    [ -e "$root/lib/$(basename "$library")" ] || { mkdir -p "$to/lib" && cp -L "$library" "$to/lib/$(basename "$library")"; }
  done < <("$work/parts/lib64/ld-linux-x86-64.so.2" \
    --library-path "$work/parts/lib/x86_64-linux-gnu:$work/parts/usr/lib/x86_64-linux-gnu:$work/extra-parts/lib/x86_64-linux-gnu:$work/extra-parts/usr/lib/x86_64-linux-gnu" \
    --inhibit-cache --list "$from/$path")
}
mkdir -p "$root/lib64"
cp -L "$work/parts/lib64/ld-linux-x86-64.so.2" "$root/lib64/"
for program in usr/sbin/dropbear usr/bin/dropbearkey usr/sbin/qemu-ga usr/sbin/dhcpcd; do
  add_program "$work/parts" "$root" "$program"
done
rm -f "$root"/lib/ld-linux*
for program in iperf3 sockperf qperf; do
  add_program "$work/extra-parts" "$work/extra" "usr/bin/$program"
  command -v strip >/dev/null && strip "$work/extra/usr/bin/$program" 2>/dev/null || true
  printf '#!/bin/sh\n# Unpacks itself at first use: boots are read far more often than these run.\nrm -f /usr/bin/iperf3 /usr/bin/sockperf /usr/bin/qperf\ntar -xzf /usr/lib/extra/extra.tar.gz -C / && exec %s "$@"\n' \
    "$program" >"$root/usr/bin/$program"
  chmod +x "$root/usr/bin/$program"
done
tar -C "$work/extra" --sort=name --mtime=@0 --owner=0 --group=0 -cf - . | gzip -n6 >"$root/usr/lib/extra/extra.tar.gz"

# --- drivers: what KubeVirt's NIC models and disk buses need, with their dependencies ---
modules=(
  virtio_pci virtio_net virtio_blk virtio_scsi virtio_console virtio-rng virtio_balloon
  e1000 e1000e igb 8139cp 8139too pcnet32 ne2k-pci
  ahci sd_mod sr_mod isofs vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 button evdev crc32c_generic
)
declare -A added=()
add_module() {
  local name=${1//-/_} file dependency
  [ -z "${added[$name]:-}" ] || return 0
  added[$name]=1
  file=${module_file[$name]:-}
  [ -n "$file" ] || { builtin_or_die "$name"; return 0; }
  mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
  cp "$work/kernel/lib/modules/$version/$file" "$root/lib/modules/$version/$file"
  for dependency in $(modinfo_field depends "$work/kernel/lib/modules/$version/$file" | tr ',' ' '); do
    add_module "$dependency"
  done
}
modinfo_field() { tr '\0' '\n' <"$2" | LC_ALL=C sed -n "s/^$1=//p"; }
builtin_or_die() { grep -qE "/${1//_/[-_]}\.ko$" "$work/kernel/lib/modules/$version/modules.builtin" || die "kernel has no module $1"; }
declare -A module_file=()
while read -r file; do
  name=${file##*/} name=${name%.ko}
  module_file[${name//-/_}]=${file#"$work/kernel/lib/modules/$version/"}
done < <(find "$work/kernel/lib/modules/$version/kernel" -name '*.ko')
for module in "${modules[@]}"; do add_module "$module"; done
(cd "$root" && ./bin/busybox depmod -b . "$version")

# The same input gives the same bytes, so that image caches keep what they have.
find "$root" -exec touch -h -d @315532800 {} +
(cd "$root" && find . -print0 | sort -z | cpio -0 -o -H newc --quiet --owner=0:0 --reproducible) >"$work/initramfs"

# --- disk ---
say "disk.img"
"$here/make-bzimage.sh" "$work/bzimage" "$bzimage" "$work/vmlinuz"
"$here/disk.sh" "$work/disk.img" "$work/bzimage" "$work/initramfs"

# --- images ---
say "OCI layout"
"$here/oci.sh" "$work/oci" demo "disk/disk.img=$work/disk.img" -- demo-kernel "boot/vmlinuz=$work/vmlinuz" "boot/initramfs=$work/initramfs"

rm -rf "$out/oci" "$out/stamp"
for file in vmlinuz initramfs disk.img oci; do mv -f "$work/$file" "$out/$file"; done
echo "$stamp" >"$out/stamp"
say "built in $(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s: $(cd "$out" && du -sh --apparent-size vmlinuz initramfs disk.img | tr '\t\n' '  ')in $out"
