package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// members is the script of disks that belong to something as a whole: to a mirror whose
// metadata lies behind everything, so that a member shows the mirror's own table, and to
// a device of device-mapper, of which the disk bears no mark.
const members = `
s=%[1]q key=%[2]q
apply() { $s apply --key-file $key --definitions more.d "$@"; }
longer() { $s apply --key-file $key --definitions longer.d "$@"; }
modprobe -d /run/root raid1
truncate -s 64M one.img two.img; one=$(losetup -f --show one.img) two=$(losetup -f --show two.img)
mdadm --create /dev/md7 --run --metadata=1.0 --level=1 --raid-devices=2 $one $two && mdadm --wait /dev/md7; echo "label: gpt" | sfdisk -q /dev/md7
apply /dev/md7 && sync && echo array >>good
sum=$(sha256sum <$one); ! longer $one 2>refused && grep -q "part of an array or volume: linux_raid_member" refused && ! apply --empty=force $one 2>refused && grep -q "in use: loop.* is held by md7" refused && test "$sum" = "$(sha256sum <$one)" && echo held >>good
mdadm --stop /dev/md7; ! longer $one 2>refused && grep -q "part of an array or volume: linux_raid_member" refused && test "$sum" = "$(sha256sum <$one)" && echo member >>good
apply --empty=force $one && blockdev --flushbufs $one && ! wipefs -n $one | grep -q raid && ! mdadm --examine $one | grep -q "Array UUID" && echo forced >>good
dmsetup create whole --table "0 $(blockdev --getsz $one) linear $one 0"; sum=$(sha256sum <$one)
! longer $one 2>refused && grep -q "in use: loop.* is held by dm-" refused && test "$sum" = "$(sha256sum <$one)" && echo mapped >>good
dmsetup remove whole && longer $one && echo free >>good
losetup -d $one; losetup -d $two
`

// TestMembers: nothing is written to what is a part of something else, or in use as a whole,
// not even a partition that only grows; and of what is to go nothing is left.
func TestMembers(t *testing.T) {
	dir := t.TempDir()
	for folder, size := range map[string]string{"more.d": "4M", "longer.d": "8M"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		rig.File(t, filepath.Join(dir, folder), "10-more.toml", fmt.Sprintf(`partition = { type = "linux-generic", size_min = %[1]q, size_max = %[1]q }`, size))
	}
	good, log := boot(t, dir, fmt.Sprintf(members, rig.Sealpart(t).Path, rig.File(t, dir, "key", "a key file")))
	for _, name := range []string{"array", "held", "member", "forced", "mapped", "free"} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		refused, _ := os.ReadFile(filepath.Join(dir, "refused"))
		t.Logf("%s\nrefused: %s", log, refused)
	}
}
