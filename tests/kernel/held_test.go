package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// heldDefinitions add a key to the volume of root, or give it another volume key.
const heldDefinitions = `partition = { type = "root", weight = 0 }
encryption = { existing = %q, existing_key = "file:%s", key = [{ type = "file", path = "%s" }] }
`

// held is the script of a volume that is opened and mounted by cryptsetup while we
// work on its disk: keys are enrolled, and what would rewrite its data is refused.
const held = `
loop=$(losetup -f --show -P %[1]q) && mkdir -p /run/held && cryptsetup open --key-file %[2]q ${loop}p1 held && mount /dev/mapper/held /run/held \
	&& cp %[1]q before.img && ! %[3]q apply --definitions rekey.d $loop 2>refused && grep -q "would be rewritten and is in use" refused && same_bytes %[1]q before.img \
	&& %[3]q apply --definitions enroll.d $loop && echo held >/run/held/written && sync \
	&& cryptsetup open --test-passphrase --key-file added.key ${loop}p1 \
	&& (cd /run/held && sha256sum --quiet -c %[4]q) && umount /run/held && cryptsetup close held \
	&& cryptsetup open --key-file added.key ${loop}p1 held && mount /dev/mapper/held /run/held && grep -q held /run/held/written \
	&& (cd /run/held && sha256sum --quiet -c %[4]q) && umount /run/held && cryptsetup close held && losetup -d $loop`

// TestHeldVolume enrols a key in a volume that is mounted.
func TestHeldVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 40)
	sums := sumsOf(t, dir)
	rig.Must(t, plain.Apply(plain.Path)...)
	added := rig.File(t, dir, "added.key", "another key file")
	for _, existing := range []string{"enroll", "rekey"} {
		defs := filepath.Join(dir, existing+".d")
		if err := os.Mkdir(defs, 0o755); err != nil {
			t.Fatal(err)
		}
		rig.File(t, defs, "10-root.toml", fmt.Sprintf(heldDefinitions, existing, plain.Key, added))
	}
	script := fmt.Sprintf(held, plain.Path, plain.Key, rig.Sealpart(t).Path, sums) + fmt.Sprintf(judged, "held")
	good, log := boot(t, dir, script)
	if !slices.Contains(good, "held") {
		refused, _ := os.ReadFile(filepath.Join(dir, "refused"))
		t.Errorf("%s\nrefused: %s", log, refused)
	}
}
