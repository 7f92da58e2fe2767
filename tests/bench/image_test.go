package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

const newPartition = `
[partition]
type = "%s"
size_min = "%dM"
size_max = "%dM"

[filesystem]
format = "%s"
`

// encrypted makes of the definition of a new partition that of an encrypted one.
func encrypted(definition string) string { return definition + "\n[encryption]" + ourKey().table }

// creation returns the definition of a new partition.
func creation(kind, format string, size disk.Bytes) string {
	return fmt.Sprintf(newPartition, kind, size/disk.MiB, size/disk.MiB, format)
}

// imageRow makes a whole image. Its peer is newer than what distributions have and
// encrypts every byte: 36 s is what it took on such a machine.
var imageRow = row{
	name: "image", work: "new 4 GiB image: ESP, root, 3.2 GiB of encrypted ext4", against: "systemd-repart 262 offline: 36 s",
	goal: goal{seconds: 1, bytes: 200 * disk.MiB}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		const size = 4 * disk.GiB // it is sparse: no less for a quick look
		image, key := filepath.Join(t.TempDir(), "image"), ourKey().make(t)
		defs := definitionsDir(t, creation("esp", "vfat", 100*disk.MiB), creation("root", "ext4", size/8),
			encrypted(creation("home", "ext4", size/5*4)))
		return contest{ours: func(t testing.TB) sample {
			defer os.Remove(image)
			s := w.apply(t, key, "--empty", "create", "--size", fmt.Sprint(int64(size)), "--definitions", defs, image)
			s.bytes = allocated(t, image)
			return s
		}}
	},
}

// allocated returns how much of a sparse file is there.
func allocated(t testing.TB, path string) disk.Bytes {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return disk.Bytes(info.Sys().(*syscall.Stat_t).Blocks) * 512
}

// sizeRow weighs the program itself.
var sizeRow = row{
	name: "size", work: "the program, stripped", goal: goal{bytes: 12_000_000},
	prepare: func(_ *testing.T, w *workshop) contest {
		return contest{ours: func(t testing.TB) sample {
			info, err := os.Stat(w.sealpart)
			check(t, err)
			return sample{bytes: disk.Bytes(info.Size())}
		}}
	},
}
