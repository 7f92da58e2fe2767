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

const espBackup = `partition = { type = "root", weight = 0 }
encryption = { existing = "convert", header_room = "grow", header_backup = "esp:/keys/root.header", key = [{ type = "file" }] }
`

// TestBackupOnESP converts a disk whose header's copy goes to its EFI system partition,
// a file system that only a kernel writes to. mtools, fsck.vfat and cryptsetup judge.
func TestBackupOnESP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := rig.File(t, dir, "key", "a key file")
	defs := filepath.Join(dir, "defs")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, defs, "10-root.toml", espBackup)
	image := espDisk(t, dir)
	script := "modprobe -d /run/root -a nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 vfat\n" +
		fmt.Sprintf("loop=$(losetup -f --show -P %q) && %q apply --definitions %q --key-file %q $loop && losetup -d $loop", image, rig.Sealpart(t).Path, defs, key) +
		fmt.Sprintf(judged, "esp")
	if good, log := boot(t, dir, script); !slices.Contains(good, "esp") {
		t.Fatal(log)
	}
	esp, copied, now := image+"@@1M", filepath.Join(dir, "copied"), filepath.Join(dir, "now")
	rig.Run(t, testenv.Need(t, "mcopy"), "-n", "-i", esp, "::/keys/root.header", copied)
	rig.Must(t, "header", "backup", image+"#root", now)
	rig.Run(t, "cmp", copied, now)
	rig.Run(t, "dd", "if="+image, "of="+image+".esp", "bs=1M", "skip=1", "count=40", "status=none")
	rig.Run(t, testenv.Need(t, "fsck.vfat"), "-n", image+".esp")
	rig.Run(t, testenv.Need(t, "cryptsetup"), "open", "--test-passphrase", "--key-file", key, copied)
}

// espDisk makes a disk with an EFI system partition that has the directory /keys, and a
// root with room behind it.
func espDisk(t *testing.T, dir string) string {
	t.Helper()
	image, esp, root := rig.File(t, dir, "disk.img", ""), rig.File(t, dir, "esp", ""), rig.File(t, dir, "root", "")
	for path, megabytes := range map[string]int64{image: 150, esp: 40, root: 64} {
		if err := os.Truncate(path, megabytes<<20); err != nil {
			t.Fatal(err)
		}
	}
	rig.RunIn(t, "label: gpt\nstart=2048, size=81920, type=uefi\nstart=83968, size=131072, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", "sfdisk", "-q", image)
	rig.Run(t, testenv.Need(t, "mkfs.vfat"), "-F", "32", "-s", "1", esp)
	rig.Run(t, testenv.Need(t, "mmd"), "-i", esp, "::/keys")
	rig.Run(t, testenv.Need(t, "mkfs.ext4"), "-q", root)
	rig.Run(t, "dd", "if="+esp, "of="+image, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	rig.Run(t, "dd", "if="+root, "of="+image, "bs=1M", "seek=41", "conv=notrunc,sparse", "status=none")
	return image
}
