package mkfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
)

var (
	shrinkSeed = flag.Uint64("shrink-seed", 20261122, "seed of the power cuts in a shrink")
	shrinkCuts = flag.Int("shrink-cuts", 6, "power cuts in a shrink that e2fsck and debugfs judge, for each kind of file system")
)

// churned makes a file system whose files have inodes and blocks that a shrink must
// move: what was there before them is deleted.
func churned(t testing.TB, size disk.Bytes, options ...string) string {
	t.Helper()
	path, dir := sparse(t, size), t.TempDir()
	output(t, "mke2fs", append(append([]string{"-q", "-F"}, options...), path)...)
	var script strings.Builder
	source := func(name string, content []byte) string {
		write(t, filepath.Join(dir, name), string(content), 0o644)
		return filepath.Join(dir, name)
	}
	fmt.Fprintf(&script, "write %s filler\n", source("filler", pattern(9, int(size)/2)))
	empty := source("empty", nil)
	for i := range 300 {
		fmt.Fprintf(&script, "write %s e%d\n", empty, i)
	}
	for i := range 120 {
		name := fmt.Sprintf("d%d", i%12)
		if i < 12 {
			fmt.Fprintf(&script, "cd /\nmkdir %s\nmkdir %[1]s/sub\n", name)
		}
		fmt.Fprintf(&script, "cd /%s/sub\nwrite %s %d-with-a-longer-name\n", name, source(fmt.Sprint(i), pattern(byte(i), i*i)), i)
	}
	fmt.Fprintf(&script, "cd /\nsymlink link %s\nea_set d0 user.test hello\nrm filler\n", strings.Repeat("x", 200))
	for i := range 300 {
		fmt.Fprintf(&script, "rm e%d\n", i)
	}
	output(t, "debugfs", "-w", "-f", source("script", []byte(script.String())), path)
	output(t, "e2fsck", "-f", "-p", path)
	return path
}

// contents asks debugfs for every name in a file system and what is there.
func contents(t testing.TB, path string) map[string]string {
	t.Helper()
	dir, all := t.TempDir(), map[string]string{}
	output(t, "debugfs", "-R", "rdump / "+dir, path)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Type() == fs.ModeSymlink:
			all[name[len(dir):]], err = os.Readlink(name)
		case d.Type().IsRegular():
			var content []byte
			content, err = os.ReadFile(name)
			all[name[len(dir):]] = fmt.Sprintf("%x", sha256.Sum256(content))
		default:
			all[name[len(dir):]] = "directory"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// kinds of file systems, and the sizes in MiB before and after.
var kinds = map[string]struct {
	before, after disk.Bytes
	options       []string
}{
	"ext4": {12 * disk.MiB, 7 * disk.MiB, []string{"-t", "ext4", "-b", "1024", "-g", "1024", "-N", "768", "-O", "^resize_inode"}},
	"ext3": {12 * disk.MiB, 7 * disk.MiB, []string{"-t", "ext3", "-b", "1024", "-N", "768"}},
	"4096": {24 * disk.MiB, 14 * disk.MiB, []string{"-t", "ext4", "-b", "4096", "-g", "1024", "-N", "768", "-O", "^resize_inode"}},
}

// prepared is a shrink that is ready to be committed.
func prepared(t *testing.T, path string, size disk.Bytes) (*simdev.Device, *overlay, change) {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := simdev.New(image)
	o, err := newOverlay(simdev.New(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.close() })
	if err := o.shrink(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	s, err := parseSuperblock(image[1024:])
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.sort(d, int64(s.blockSize), int64(size))
	if err != nil {
		t.Fatal(err)
	}
	return d, o, c
}

// TestPowerCutInShrink cuts the power after every operation of a commit. Every block
// that counts must be the old one everywhere, or the new one everywhere once finish
// is through; and e2fsck and debugfs find every file in a sample of the states.
func TestPowerCutInShrink(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			path := churned(t, kind.before, kind.options...)
			want := contents(t, path)
			d, o, c := prepared(t, path, kind.after)
			old := d.Bytes()
			if err := c.commit(d, int64(kind.before), o); err != nil {
				t.Fatal(err)
			}
			log := d.Log()
			t.Logf("seed %d: %d operations, %d blocks written to free space, %d in use", *shrinkSeed, len(log), len(c.free), len(c.used))
			if len(c.free) < 100 || len(c.used) < 15 {
				t.Fatal("the shrink has too little to do to show anything")
			}
			states := 0
			for k := range len(log) + 1 {
				if quiet := k%61 > 0; quiet && k > 3 && k < len(log)-12 && !nearSync(log, k) {
					continue
				}
				for variant := range uint64(2) {
					rng := rand.New(rand.NewPCG(*shrinkSeed, uint64(k)<<8|variant))
					cut := d.CrashAfter(k, rng)
					where := fmt.Sprintf("after operation %d of %d, variant %d", k, len(log), variant)
					if _, err := finish(cut, int64(kind.before)); err != nil {
						t.Fatalf("%s: %v", where, err)
					}
					again := cut.CrashAfter(rng.IntN(len(cut.Log())+1), rng) // a cut while finishing
					if _, err := finish(again, int64(kind.before)); err != nil {
						t.Fatalf("%s, again: %v", where, err)
					}
					checkBlocks(t, cut.Bytes(), old, o, c, where)
					checkBlocks(t, again.Bytes(), old, o, c, where+", again")
					states += 2
				}
			}
			t.Logf("%d states", states)
			for i := range *shrinkCuts {
				k := len(log) * (i + 1) / *shrinkCuts
				cut := d.CrashAfter(k, rand.New(rand.NewPCG(*shrinkSeed, uint64(i))))
				recovers(t, cut.Bytes(), kind.after, want, fmt.Sprintf("after operation %d of %d", k, len(log)))
			}
		})
	}
}

// nearSync reports whether one of the operations around k is a sync.
func nearSync(log []simdev.Op, k int) bool {
	for _, op := range log[max(0, k-2):min(len(log), k+2)] {
		if op.Sync {
			return true
		}
	}
	return false
}

// checkBlocks demands one whole file system: the old or the new one.
func checkBlocks(t *testing.T, got, old []byte, o *overlay, c change, where string) {
	t.Helper()
	want := bytes.Clone(old)
	loose := append(append([]int64(nil), c.free...), c.room...)
	if !bytes.Equal(got[1024:2048], old[1024:2048]) {
		for _, b := range append(append([]int64(nil), c.free...), c.used...) {
			if _, err := o.ReadAt(want[b*c.blockSize:][:c.blockSize], b*c.blockSize); err != nil {
				t.Fatal(err)
			}
		}
		loose = c.room
	}
	for _, b := range loose {
		copy(want[b*c.blockSize:][:c.blockSize], got[b*c.blockSize:])
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: neither the old nor the new file system", where)
	}
}

// recovers does to an image what the next run does, and asks for every file.
func recovers(t *testing.T, image []byte, size disk.Bytes, want map[string]string, where string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	w := Window{Path: path, Size: disk.Bytes(len(image))}
	for _, step := range []func(context.Context, Window) error{
		CheckExt, func(ctx context.Context, w Window) error { return ShrinkExt(ctx, w, size) },
	} {
		if err := step(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
	}
	output(t, "e2fsck", "-f", "-n", path)
	if s, err := w.superblock(); err != nil || s.size != size {
		t.Errorf("%s: %d bytes large, want %d (%v)", where, s.size, size, err)
	}
	if got := contents(t, path); !maps.Equal(got, want) {
		t.Errorf("%s: the files are not what they were", where)
	}
}

// Between the commit point and the end nobody else may touch the file system: no
// checker, not even with -y, and it is still recognised for what it is.
func TestMarkKeepsOthersOff(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			path := churned(t, kind.before, kind.options...)
			uuid := blkid(t, path, "UUID")
			d, o, c := prepared(t, path, kind.after)
			if err := c.commit(d, int64(kind.before), o); err != nil {
				t.Fatal(err)
			}
			k := 0
			for ; k <= len(d.Log()); k++ { // the first state with a mark
				sb, err := superblockOf(d.CrashAfter(k, nil))
				if _, ok := markOf(sb); ok && err == nil {
					break
				}
			}
			image := d.CrashAfter(k, nil).Bytes()
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"e2fsck", "-f", "-p"}, {"e2fsck", "-p"}, {"e2fsck", "-f", "-y"}, {"resize2fs", "-f"}, {"tune2fs", "-L", "x"}} {
				if out, err := exec.Command(testenv.Need(t, args[0]), append(args[1:], path)...).CombinedOutput(); err == nil {
					t.Errorf("%v went ahead: %s", args, out)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image) {
				t.Errorf("somebody changed it (%v)", err)
			}
			if got := blkid(t, path, "UUID"); got != uuid {
				t.Errorf("UUID %q, want %q", got, uuid)
			}
			w := Window{Path: path, Size: kind.before}
			if finished, err := FinishShrink(t.Context(), w); !finished || err != nil {
				t.Errorf("finished %v, %v", finished, err)
			}
			if finished, err := FinishShrink(t.Context(), w); finished || err != nil {
				t.Errorf("the second time: finished %v, %v", finished, err)
			}
		})
	}
}

// A journal that is not what was written is refused before anything is changed.
func TestFinishRefusesDamage(t *testing.T) {
	kind := kinds["ext4"]
	d, o, c := prepared(t, churned(t, kind.before, kind.options...), kind.after)
	if err := c.commit(d, int64(kind.before), o); err != nil {
		t.Fatal(err)
	}
	k := 0
	for i, op := range d.Log() {
		if op.Offset == superblockAt && len(op.Data) == sectorSize && !op.Sync && k == 0 {
			k = i + 1
		}
	}
	for name, block := range map[string]int64{"content": c.room[0], "index": c.room[len(c.room)-1], "last content": c.room[len(c.used)-1]} {
		image := d.CrashAfter(k, nil).Bytes()
		image[block*c.blockSize+100]++
		damaged := simdev.New(image)
		if _, err := finish(damaged, int64(kind.before)); err == nil || !strings.Contains(err.Error(), "is not what was written") {
			t.Errorf("%s: %v", name, err)
		}
		if len(damaged.Log()) > 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}

// Where the content does not fit, or there is no room to do it safely, nothing
// changes.
func TestShrinkRefuses(t *testing.T) {
	path := churned(t, kinds["ext4"].before, kinds["ext4"].options...)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := Window{Path: path, Size: disk.Bytes(len(before))}
	if err := ShrinkExt(t.Context(), w, disk.MiB); err == nil || !strings.Contains(err.Error(), "resize2fs failed") {
		t.Errorf("shrunk to a megabyte: %v", err)
	}
	if err := ShrinkExt(t.Context(), w, 20*disk.MiB); err != nil {
		t.Errorf("nothing to shrink: %v", err)
	}
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ShrinkExt(stop, w, 10*disk.MiB); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("shrunk although it was cancelled: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file system changed (%v)", err)
	}
}

// FuzzRedo feeds rubbish to what is read back from the disk.
func FuzzRedo(f *testing.F) {
	d := simdev.New(pattern(1, 64<<10))
	to, err := writeRedo(d, simdev.New(pattern(2, 64<<10)), 1024, []int64{1, 5, 9}, []int64{20, 21, 22, 23})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.Bytes()[23<<10:24<<10], to.sum[:])
	f.Fuzz(func(t *testing.T, index, sum []byte) {
		image := simdev.New(d.Bytes())
		index = append(index, make([]byte, 1024)...)[:1024]
		if _, err := image.WriteAt(index, 23<<10); err != nil {
			t.Fatal(err)
		}
		r, err := readRedo(image, pointer{23, sha256.Sum256(index)}, 1024, 64)
		for _, e := range r.entries {
			if err == nil && (e.target < 0 || e.target > 63 || e.source < 0 || e.source > 63) {
				t.Errorf("nonsense accepted: %+v", e)
			}
		}
	})
}

// TestRoomIsNotTheNewFileSystems: a block that the shrunk file system uses without having
// written it is no room for the redo, which would go over it.
func TestRoomIsNotTheNewFileSystems(t *testing.T) {
	kind := kinds["ext3"] // no checksums over its bitmaps
	_, o, c := prepared(t, churned(t, kind.before, kind.options...), kind.after)
	if err := c.checkRoom(o); err != nil {
		t.Fatal(err)
	}
	const perGroup, descriptors = 8192, 2 * 1024
	group, bit := (c.room[0]-1)/perGroup, (c.room[0]-1)%perGroup
	p := make([]byte, 4)
	if _, err := o.ReadAt(p, descriptors+32*group); err != nil {
		t.Fatal(err)
	}
	at, bitmap := int64(binary.LittleEndian.Uint32(p))*c.blockSize, make([]byte, c.blockSize)
	if _, err := o.ReadAt(bitmap, at); err != nil {
		t.Fatal(err)
	}
	used := int64(kind.after)/c.blockSize/8 - 2
	for bitmap[used] != 0xff || used == bit/8 { // another goes: the count of free blocks must stay what it is
		used--
	}
	bitmap[used] &^= 1
	bitmap[bit/8] |= 1 << (bit % 8)
	if err := o.keep(at, c.blockSize); err != nil {
		t.Fatal(err)
	}
	if _, err := o.file.WriteAt(bitmap, at); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("resize2fs uses block %d without writing it", c.room[0])
	if err := c.checkRoom(o); err == nil || err.Error() != want {
		t.Errorf("%v, not %q", err, want)
	}
	if _, err := o.sort(o.below.(*simdev.Device), c.blockSize, int64(kind.after)); err == nil || err.Error() != want {
		t.Errorf("%v, not %q", err, want)
	}
}
