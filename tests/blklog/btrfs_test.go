package blklog

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// btrfsDisk is a disk whose only partition is a btrfs, full to its end: the kernel makes
// it smaller, and afterwards larger again.
type btrfsDisk struct {
	image, fs, tree, definitions, key string
}

const shrinkDefinition = `partition = { type = "root", weight = 0 }
encryption = { existing = "convert", header_room = "shrink", key = [{ type = "file" }] }
`

func newBtrfsDisk(t *testing.T) btrfsDisk {
	t.Helper()
	dir := t.TempDir()
	d := btrfsDisk{
		image: rig.File(t, dir, "disk.img", ""), tree: filepath.Join(dir, "tree"),
		definitions: filepath.Join(dir, "definitions"), key: rig.File(t, dir, "key", "a key file"),
	}
	for _, name := range []string{d.tree, d.definitions} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rig.File(t, d.definitions, "10-root.toml", shrinkDefinition)
	source := rand.NewChaCha8([32]byte{11})
	for _, name := range strings.Split("abcdefgh", "") {
		content := make([]byte, 4<<20)
		_, _ = source.Read(content) // never fails
		rig.File(t, d.tree, name, string(content))
	}
	fs := rig.File(t, dir, "root.btrfs", "")
	for path, megabytes := range map[string]int64{fs: 300, d.image: 302} {
		if err := os.Truncate(path, megabytes<<20); err != nil {
			t.Fatal(err)
		}
	}
	rig.RunIn(t, "label: gpt\nstart=2048, size=614400, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", "sfdisk", "-q", d.image)
	rig.Run(t, testenv.Need(t, "mkfs.btrfs"), "-q", "--rootdir", d.tree, fs)
	rig.Run(t, "dd", "if="+fs, "of="+d.image, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	d.fs = fs
	return d
}

// apply is one run on the disk behind a loop device: only of those the kernel mounts.
func (d btrfsDisk) apply(t *testing.T, image string) string {
	t.Helper()
	loop := strings.TrimSpace(rig.Run(t, "losetup", "--find", "--show", "--partscan", image))
	defer rig.Run(t, "losetup", "-d", loop)
	// A kernel that cannot read partition tables is told.
	rig.Run(t, "sh", "-c", "test -e "+loop+"p1 || partx --add "+loop)
	defer rig.Run(t, "partx", "--delete", loop)
	return rig.Must(t, "apply", "--definitions", d.definitions, "--key-file", d.key, "--seed", rig.Seed, loop)
}

// check demands every file, in a btrfs without a fault, and nothing of it in the clear.
func (d btrfsDisk) check(t *testing.T, image string) {
	t.Helper()
	dir := t.TempDir()
	plain, tree := filepath.Join(dir, "plain"), filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.Must(t, "export", "--key-file", d.key, image+"#root", plain)
	rig.Run(t, "btrfs", "check", plain)
	rig.Run(t, "btrfs", "restore", plain, tree)
	rig.Run(t, "diff", "-r", d.tree, tree)
	rig.NoPlainText(t, d.fs, image)
}

// TestPowerCutsBtrfs cuts the power while the kernel makes a btrfs smaller, while it is
// converted, and while the kernel makes it larger again. Most states are of the first.
func TestPowerCutsBtrfs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	d := newBtrfsDisk(t)
	dev := recordRun(t, d.image, func(mounted string) { d.apply(t, mounted) })
	log := len(dev.Log())
	rng := rand.New(rand.NewPCG(*seed, 1))
	for _, k := range append(few(places(log/3, rng)), few(places(log, rng))...) {
		image := filepath.Join(t.TempDir(), "cut.img")
		cut := dev.CrashAfter(k, rand.New(rand.NewPCG(*seed, uint64(k))))
		save(t, cut, image)
		d.apply(t, image)
		d.check(t, image)
		if again := d.apply(t, image); again != "" {
			t.Errorf("there was still to do:\n%s", again)
		}
		if t.Failed() {
			t.Fatalf("after operation %d of %d", k, log)
		}
		if err := os.Remove(image); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d operations", log)
}

// few keeps one in ten, unless all are wanted: these disks are large.
func few(places []int) (kept []int) {
	for i, k := range places {
		if *states == 0 || i%10 == 5 {
			kept = append(kept, k)
		}
	}
	return kept
}

// save writes a simulated disk to a file.
func save(t *testing.T, dev *simdev.Device, path string) {
	t.Helper()
	content := make([]byte, dev.Size())
	if _, err := dev.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
