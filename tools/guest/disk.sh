#!/usr/bin/env bash
# A disk that SeaBIOS boots: one FAT file system without a partition table, and syslinux in its boot sector.
# usage: disk.sh OUT BZIMAGE INITRAMFS
set -euo pipefail
out=$1 bzimage=$2 initramfs=$3
config=$(mktemp)
packed=$(mktemp)
trap 'rm -f "$config" "$packed"' EXIT
cat >"$config" <<'EOF'
SERIAL 0 115200
DEFAULT guest
PROMPT 0
LABEL guest
  KERNEL vmlinuz
  INITRD initrd
  APPEND console=ttyS0 quiet no_timer_check mitigations=off
EOF
# Reading through the BIOS is slow, so the initramfs is packed here.
gzip -n1 <"$initramfs" >"$packed"
sectors=$(((($(stat -c %s "$bzimage") + $(stat -c %s "$packed")) / 512 + 8192) / 2048 * 2048))
truncate -s $((sectors * 512)) "$out"
mformat -i "$out" -N 70647461 -T "$sectors" -h 16 -s 63 ::
# No time of today anywhere: the same input gives the same disk. -m keeps the times of files, mtools reads the rest; a label would carry one.
export SOURCE_DATE_EPOCH=315532800
touch -d @315532800 "$bzimage" "$packed" "$config"
mcopy -m -i "$out" "$bzimage" ::vmlinuz
mcopy -m -i "$out" "$packed" ::initrd
mcopy -m -i "$out" "$config" ::syslinux.cfg
syslinux --install "$out"
