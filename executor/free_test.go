package executor

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner/plan"
)

// marker stands in every block of the files of sparseImage, also of the deleted one.
const marker = "a sentence that must not be found in clear. "

// sparseImage makes an ext4 of which little is in use, scattered, with blocks of a
// deleted file in between.
func sparseImage(t testing.TB, size disk.Bytes) []byte {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"kept", "deleted", "kept too"} {
		content := bytes.Repeat([]byte(marker), int(size/20)/len(marker))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(t.TempDir(), "sparse.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, int64(size)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{testenv.Need(t, "mkfs.ext4"), "-q", "-b", "4096", "-O", "^has_journal", "-d", dir, image},
		{testenv.Need(t, "debugfs"), "-w", "-R", "rm /deleted", image},
		{testenv.Need(t, "e2fsck"), "-fn", image},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	content, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

const (
	freeShift = disk.MiB
	freeData  = 10 * disk.MiB
	freeStep  = 5 // operations between two cuts
)

// freeWorld is an ext4 to be encrypted without its free space: in place behind a
// gap, or moved up.
type freeWorld struct {
	room   plan.Room
	sector disk.Bytes
	plain  []byte
}

// device returns the partition before the conversion: for a gap the header lies on
// it already, as prepareGap leaves it.
func (w freeWorld) device(t testing.TB) *simdev.Device {
	image := make([]byte, len(w.plain)+int(2*freeShift)+int(600*disk.KiB))
	at := disk.Bytes(0)
	if w.room == plan.RoomGap {
		at = freeShift
		image = image[:len(w.plain)+int(freeShift)]
	}
	copy(image[at:], w.plain)
	return simdev.New(image)
}

// convert begins or resumes, as the plan would.
func (w freeWorld) convert(t testing.TB, dev *simdev.Device) error {
	ctx, env := context.Background(), testEnv(t)
	c := newConversion(env, newPipeline(1), dev, plan.Reencrypt{
		Number: 1, Mode: plan.ModeEncrypt, Room: w.room, Extent: disk.Extent{Size: dev.Size()}, DataSize: freeData,
		Shift: freeShift, Filesystem: "ext4", FreeSpace: definitions.FreeDiscard, Encryption: stubEncryption(freeShift, w.sector),
	})
	c.maxZone = 2 * disk.MiB
	if c.header, _ = c.readHeader(); c.header != nil {
		c.action.FreeSpace = "" // the header says so, whatever the definition does by now
		return c.resume(ctx)
	}
	v, err := newVolume(ctx, env, c.action.Encryption)
	if err != nil {
		return err
	}
	defer v.wipe()
	if w.room != plan.RoomGap {
		return c.begin(ctx, v)
	}
	if err := c.beginForward(v); err != nil {
		return err
	}
	if err := c.writeKeyslots(v.front.bytes, 0); err != nil {
		return err
	}
	return c.convert(ctx, v.keys())
}

// check demands that every used byte is there, and no plain text anywhere.
func (w freeWorld) check(t testing.TB, dev *simdev.Device) {
	t.Helper()
	var out bytes.Buffer
	if err := Export(context.Background(), testEnv(t), dev, &out); err != nil {
		t.Fatal(err)
	}
	used, err := usedExtents(bytes.NewReader(w.plain), freeData)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range used {
		if !bytes.Equal(out.Bytes()[e.Offset:e.End()], w.plain[e.Offset:e.End()]) {
			t.Fatalf("used bytes %d to %d differ", e.Offset, e.End())
		}
	}
	if at := bytes.Index(dev.Bytes(), []byte(marker)); at >= 0 {
		t.Fatalf("plain text is left at %d", at)
	}
}

// TestFreeSpaceIsNotEncrypted converts file systems that are mostly free, cuts the
// power after every few operations, and demands every used byte back, no plain text left,
// and that little more was written than is in use.
func TestFreeSpaceIsNotEncrypted(t *testing.T) {
	t.Parallel()
	plain := sparseImage(t, freeData)
	worlds := map[string]freeWorld{
		"moved":         {plan.RoomBehind, 4096, plain},
		"gap, checksum": {plan.RoomGap, 512, plain},
		"gap, journal":  {plan.RoomGap, 4096, plain},
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			whole := w.device(t)
			if err := w.convert(t, whole); err != nil {
				t.Fatal(err)
			}
			w.check(t, whole)
			w.checkFsck(t, whole)
			w.checkCost(t, whole)
			for k := 0; k <= len(whole.Log()); k += freeStep {
				rng := rand.New(rand.NewPCG(20261122, uint64(k)))
				cut := whole.CrashAfter(k, rng)
				for i := range 2 { // cut once more on the way
					if err := w.convert(t, cut); err != nil {
						t.Fatalf("after operation %d: %v", k, err)
					}
					if i == 0 && k%3 == 0 {
						cut = cut.CrashAfter(rng.IntN(len(cut.Log())+1), rng)
					}
				}
				w.check(t, cut)
				crashCount.Add(1)
			}
		})
	}
}

// checkFsck lets e2fsck judge the decrypted volume.
func (w freeWorld) checkFsck(t *testing.T, dev *simdev.Device) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "plain.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := Export(context.Background(), testEnv(t), dev, file); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testenv.Need(t, "e2fsck"), "-fn", file.Name()).CombinedOutput(); err != nil {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
}

// checkCost demands that what was encrypted grows with the data: zeroes, which cost
// nothing on most storage, do not count.
func (w freeWorld) checkCost(t *testing.T, dev *simdev.Device) {
	t.Helper()
	written := 0
	for _, op := range dev.Log() {
		if len(bytes.Trim(op.Data, "\x00")) > 0 {
			written += len(op.Data)
		}
	}
	limit := 4 * disk.MiB // the header, again and again
	used, err := usedExtents(bytes.NewReader(w.plain), freeData)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range used {
		limit += e.Size
	}
	if w.room == plan.RoomGap && w.sector == 4096 {
		limit += 2 * disk.MiB // a journal
	}
	if disk.Bytes(written) > limit {
		t.Errorf("%d bytes written, more than %d", written, limit)
	}
}
