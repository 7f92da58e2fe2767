#!/bin/sh
# A whole run on a loop device, as root: a plain root is encrypted in place and opened. What
# it makes is in a new folder, which goes at the end.
set -eu
definitions=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
cleanup() {
	mountpoint -q "$dir/mnt" && umount "$dir/mnt"
	[ ! -e /dev/mapper/sealpart-try ] || sealpart close sealpart-try
	[ -z "${loop:-}" ] || losetup -d "$loop"
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"

mkdir tree mnt
echo "it is still here" >tree/file
truncate -s 64M root.ext4
mkfs.ext4 -q -d tree root.ext4
truncate -s 128M disk.img
echo "start=2048, size=131072, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root" | sfdisk -q --label gpt disk.img
dd if=root.ext4 of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
(umask 077 && head -c 32 /dev/urandom >key)

loop=$(losetup --find --show --partscan disk.img)
sealpart plan --definitions "$definitions" "$loop"
sealpart apply --definitions "$definitions" --key-file key "$loop"
sealpart inspect "$loop"
sealpart key list --key-file key "$loop#root"

# Opened as any volume is, where the kernel has device-mapper.
if grep -q device-mapper /proc/misc; then
	mount "$(sealpart open --key-file key sealpart-try "$loop#root")" mnt
	cat mnt/file
fi
