package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// TestHostileExt4 converts a disk whose ext4 wants the kernel to panic at the first error,
// and has one in the block bitmap that growing reads. The kernel is there afterwards, and
// the volume, on a block device and in an image file.
func TestHostileExt4(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := rig.File(t, dir, "key", "a key file")
	defs := filepath.Join(dir, "defs")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, defs, "10-root.toml", "partition = { type = \"root\", weight = 0 }\nencryption = { existing = \"convert\", header_room = \"grow\", key = [{ type = \"file\" }] }\n")
	hostile := growable{kind: "hostile", megabytes: 64, mkfs: []string{"mkfs.ext4", "-q", "-b", "4096", "-O", "^metadata_csum"}}
	image := hostile.image(t, dir)
	fs := filepath.Join(dir, "hostile.fs")
	rig.Run(t, testenv.Need(t, "tune2fs"), "-e", "panic", fs)
	rig.Run(t, testenv.Need(t, "debugfs"), "-w", "-R", "clri <7>", fs) // the resize inode
	rig.Run(t, testenv.Need(t, "debugfs"), "-w", "-R", "clri <2>", fs) // the root
	rig.Run(t, "dd", "if="+fs, "of="+image, "bs=1M", "seek=1", "conv=notrunc", "status=none")
	rig.Run(t, "cp", image, image+"2")
	apply := fmt.Sprintf("%q apply --definitions %q --key-file %q --seed %s", rig.Sealpart(t).Path, defs, key, rig.Seed)
	script := fmt.Sprintf("loop=$(losetup -f --show -P %q) && %s $loop && losetup -d $loop", image, apply) + fmt.Sprintf(judged, "device") +
		fmt.Sprintf("%s %q && ! dmesg | grep -q EXT4-fs", apply, image+"2") + fmt.Sprintf(judged, "image")
	good, log := boot(t, dir, script)
	for _, name := range []string{"device", "image"} {
		if !slices.Contains(good, name) {
			t.Errorf("%s: the kernel did not live through it, or apply failed\n%s", name, log)
		}
	}
}
