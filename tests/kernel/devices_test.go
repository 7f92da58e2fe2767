package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// devices is the script of disks that are not as one would like. The disk that vanishes is
// a device-mapper device whose table becomes one of errors while it is converted.
const devices = `
s=%[1]q image=%[2]q defs=%[3]q key=%[4]q sums=%[5]q seed=%[6]s
apply() { $s apply --seed $seed --key-file $key --definitions "$@"; }
cp $image before.img
loop=$(losetup -f --show -r $image); ! apply $defs $loop 2>refused && grep -q "is read-only" refused && $s plan --definitions $defs $loop | grep -q reencrypt && same_bytes $image before.img && echo read-only >>good; losetup -d $loop
loop=$(losetup -f --show $image); blockdev --setro $loop; ! apply $defs $loop 2>refused && grep -q "is read-only" refused && same_bytes $image before.img && echo write-protected >>good; blockdev --setrw $loop; losetup -d $loop

loop=$(losetup -f --show $image); sectors=$(blockdev --getsz $loop)
dmsetup create disk --table "0 $sectors linear $loop 0"; dmsetup mknodes
mkfifo events; apply $defs --progress json /dev/mapper/disk 2>events & exec 3<events; grep -q -m1 "hot zone" <&3; kill -STOP $!
dmsetup wipe_table --force disk; kill -CONT $!; cat <&3 >said; wait $!; echo $? >code
grep -q "error: partition 1: reencrypt: .*input/output error" said && test $(cat code) = 1 && ! apply $defs /dev/mapper/disk 2>gone && grep -q "input/output error" gone && echo vanished >>good
dmsetup reload disk --table "0 $sectors linear $loop 0" && dmsetup resume disk && apply $defs /dev/mapper/disk && dmsetup remove disk && echo back >>good
losetup -d $loop
mkdir -p /run/dev; $s open --key-file $key vol $image#root && mount /dev/mapper/vol /run/dev && (cd /run/dev && sha256sum --quiet -c $sums) && umount /run/dev && $s close vol && echo whole >>good

# hostfs opens no file without a name, so that file systems are made elsewhere
truncate -s 256M large.img; loop=$(losetup -f --show -P -b 4096 large.img)
TMPDIR=/run apply fresh.d --root . --empty=force $loop && test "$(blockdev --getss $loop)" = 4096 && sfdisk --verify $loop && test -b ${loop}p1 && test -b ${loop}p3 \
	&& cryptsetup open --key-file $key ${loop}p1 vol && mount /dev/mapper/vol /run/dev && (cd /run/dev && sha256sum --quiet -c $sums) && umount /run/dev && cryptsetup close vol && echo sectors-4096 >>good
mount -o ro ${loop}p2 /run/dev && apply more.d $loop && test "$(cat /sys/block/${loop#/dev/}/${loop#/dev/}p4/size)" = 8192 && mountpoint -q /run/dev && (cd /run/dev && sha256sum --quiet -c $sums) && umount /run/dev && echo held >>good
losetup -d $loop

truncate -s +32M before.img && sfdisk -q --relocate gpt-bak-std before.img && echo "start=106MiB, size=16MiB, type=L" | sfdisk -q --append before.img
loop=$(losetup -f --show -P before.img); one=/sys/block/${loop#/dev/}/${loop#/dev/}p1/size; was=$(cat $one)
mkfs.ext4 -q ${loop}p2 && mount ${loop}p2 /run/dev && echo held >/run/dev/held && apply $defs $loop && test $(cat $one) -gt $was && mountpoint -q /run/dev && echo still >>/run/dev/held && umount /run/dev \
	&& e2fsck -fn ${loop}p2 && cryptsetup open --key-file $key ${loop}p1 vol && mount /dev/mapper/vol /run/dev && (cd /run/dev && sha256sum --quiet -c $sums) && umount /run/dev && cryptsetup close vol && echo resized >>good
losetup -d $loop
`

// TestDevices: disks that cannot be written to, one that is gone in the middle of a
// conversion and comes back, one with sectors of 4096 bytes, and those of which a partition
// is mounted while another comes, or grows and is encrypted.
func TestDevices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 64)
	sums := sumsOf(t, dir)
	for folder, files := range map[string]map[string]string{
		"fresh.d": freshDefinitions,
		"more.d":  {"40-more": `partition = { type = "linux-generic", size_min = "4M", size_max = "4M" }`},
	} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			rig.File(t, filepath.Join(dir, folder), name+".toml", text)
		}
	}
	good, log := boot(t, dir, fmt.Sprintf(devices, rig.Sealpart(t).Path, plain.Path, plain.Definitions, plain.Key, sums, rig.Seed))
	for _, name := range []string{"read-only", "write-protected", "vanished", "back", "whole", "sectors-4096", "held", "resized"} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
