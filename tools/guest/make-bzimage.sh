#!/usr/bin/env bash
# Makes a bzImage that unpacks fast, from Debian's (for its setup code) and the ELF that was inside.
# usage: make-bzimage.sh OUT BZIMAGE VMLINUX
set -euo pipefail
out=$1 bzimage=$2 vmlinux=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The kernel as it lies in memory; its first byte is startup_64, at the physical address it is linked for.
objcopy -O binary "$vmlinux" "$work/flat"
kernel=$(readelf -hW "$vmlinux" | awk '/Entry point/ { print $4 }')
lz4 -qlf -9 "$work/flat" "$work/packed"
sizes=(--defsym PACKED="$(stat -c %s "$work/packed")" --defsym UNPACKED="$(stat -c %s "$work/flat")" --defsym KERNEL="$kernel")
as --32 "${sizes[@]}" -o "$work/unpack.o" "$here/unpack.S"
ld -m elf_i386 --no-warn-rwx-segments -N -Ttext 0x100000 --oformat binary -o "$work/unpack" "$work/unpack.o"

setup=$((($(od -An -tu1 -j $((0x1f1)) -N1 "$bzimage") + 1) * 512))
{ dd if="$bzimage" bs="$setup" count=1 status=none; cat "$work/unpack" "$work/packed"; } >"$out"

# put OFFSET BYTES VALUE: little endian, into the setup header.
put() {
  local i text=
  for ((i = 0; i < $2; i++)); do text+=$(printf '\\x%02x' $((($3 >> (8 * i)) & 255))); done
  printf "$text" | dd of="$out" bs=1 seek=$(($1)) conv=notrunc status=none
}
half=$(($(stat -c %s "$out") - setup))
put 0x1f4 4 $(((half + 15) / 16)) # syssize
put 0x234 1 0                     # relocatable_kernel: loaded at 0x100000, where unpack.S is linked
put 0x236 2 0                     # xloadflags: no 64-bit or EFI entry of our own
put 0x248 8 0                     # payload_offset, payload_length: for tools that look for a packed vmlinux
put 0x258 8 $((0x100000))         # pref_address
put 0x260 4 $((kernel - 0x100000 + $(stat -c %s "$work/flat") + $(stat -c %s "$work/packed") + 0x20000)) # init_size
put 0x264 4 0                     # handover_offset
