package kernel

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// opened is the script of a volume that we open and cryptsetup looks at, or the other
// way round: on a disk with partitions, as an image file, and read-only.
const opened = `
s=%[1]q image=%[2]q key=%[3]q sums=%[4]q
same() { mount $2 /dev/mapper/$1 /run/open && (cd /run/open && sha256sum --quiet -c $sums) && umount /run/open; }
mkdir -p /run/open; loop=$(losetup -f --show -P $image)
$s open --key-file $key --tpm2-device /nowhere vol $loop#root && cryptsetup status vol >status && same vol \
	&& grep -q "type: *LUKS2" status && grep -q "device: *${loop}p1" status && ! $s close nosuch && $s close vol && ! test -e /dev/mapper/vol && echo device >>good
$s open --key-file $key vol $loop#1 && ! $s open --key-file $key vol $loop#1 2>taken && grep -q "there already" taken && cryptsetup close vol && echo cryptsetup-closes >>good
cryptsetup open --key-file $key ${loop}p1 vol && same vol && $s close vol && echo we-close >>good
$s open --key-file $key vol $loop#1 && mount /dev/mapper/vol /run/open && ! $s close vol 2>busy && grep -q "is in use: unmount it" busy && umount /run/open && $s close vol && echo busy >>good
$s open --read-only --key-file $key vol $loop#1 && ! dd if=/dev/zero of=/dev/mapper/vol bs=4096 count=1 2>/dev/null && same vol "-o ro,noload" && $s close vol && echo read-only >>good
losetup -d $loop
dmsetup create stranger --table "0 8 error" && ! $s close stranger 2>stranger && grep -q "somebody else" stranger && dmsetup remove stranger && echo stranger >>good
$s open --key-file $key vol $image#root && same vol && $s close vol && test -z "$(losetup -j $image)" && echo file >>good
! $s open --key-file $sums vol $image#root 2>wrong && grep -q "no key opens this volume" wrong && ! test -e /dev/mapper/vol && echo wrong-key >>good
! $s open --key-file $key a/b $image#root 2>name && grep -q "no name for a device" name && echo name >>good
keyctl show @t 2>/dev/null | grep -q cryptsetup || echo no-key-left >>good
(export TMPDIR=/run PATH=$PATH:${s%%/*}; sh %[5]q/try.sh | grep -q "it is still here") && ! test -e /dev/mapper/sealpart-try && echo example >>good
`

// pending is the script of a volume in conversion: between two zones it is several
// targets, and in the middle of one it is refused.
const pending = `
$s open --key-file $key vol %[1]q#root && test $(dmsetup table vol | wc -l) -gt 1 && same vol && echo written >/run/open.new && $s close vol && echo clean >>good
! $s open --key-file $key vol %[2]q#root 2>crash && grep -q "in the middle of a hot zone; apply finishes it" crash && ! test -e /dev/mapper/vol && echo crash >>good
`

// verityOpened is the script of a verity pair that we open and veritysetup looks at: on a
// disk with partitions, as an image file, and with a root hash that is another's.
const verityOpened = `
image=%[1]q root=%[2]s; loop=$(losetup -f --show -P $image)
$s open --root-hash $root vol $loop#usr && veritysetup status vol >verity && same vol "-o ro" && dmsetup table vol >ours && dmsetup info -c --noheadings -o uuid vol | sed 's/[^-]*$//' >>ours && $s close vol \
	&& veritysetup open ${loop}p2 vol ${loop}p3 $root && dmsetup table vol >theirs && dmsetup info -c --noheadings -o uuid vol | sed 's/[^-]*$//' >>theirs && veritysetup close vol && cmp ours theirs \
	&& grep -q "type: *VERITY" verity && grep -q "status: *verified" verity && echo verity-device >>good
losetup -d $loop
$s open --root-hash $root vol $image#usr && same vol "-o ro" && $s close vol && test -z "$(losetup -j $image)" && echo verity-file >>good
other=$(echo $root | cut -c 3-); ! $s open --root-hash 00$other vol $image#usr 2>wrong && grep -q "not what the root hash promises" wrong && ! test -e /dev/mapper/vol && echo verity-wrong >>good
! $s open --root-hash ${root}00 vol $image#usr 2>wrong && grep -q "has no partition with the UUID" wrong && ! $s open --root-hash ab vol $image#usr 2>wrong && grep -q "at least 64" wrong && echo verity-usage >>good
`

// TestOpen opens and closes volumes by our own device-mapper calls.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 64)
	sums := sumsOf(t, dir)
	clean := stopped(t, plain, filepath.Join(dir, "clean.img"), syscall.SIGINT)
	crash := stopped(t, plain, filepath.Join(dir, "crash.img"), syscall.SIGKILL)
	rig.Must(t, plain.Apply(plain.Path)...)
	fresh := newFresh(t, dir, plain.Key)
	example, err := filepath.Abs("../../examples/loop-device")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(opened, rig.Sealpart(t).Path, plain.Path, plain.Key, sums, example) + fmt.Sprintf(pending, clean, crash) +
		fmt.Sprintf(verityOpened, fresh, rootHashOf(t, fresh))
	good, log := boot(t, dir, script)
	for _, name := range []string{
		"device", "cryptsetup-closes", "we-close", "busy", "read-only", "stranger", "file", "wrong-key", "name", "no-key-left", "clean", "crash",
		"verity-device", "verity-file", "verity-wrong", "verity-usage", "example",
	} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
