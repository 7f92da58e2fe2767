package executor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// freshDefinition asks for a new partition, whose ends are zeroed.
var freshDefinition = map[string]string{"10-data": `partition = { type = "home", size_min = "4M", size_max = "4M" }`}

// TestPlanOfAnotherState: what has changed since the plan was made, by a byte of the table or of
// a partition's content, is not written to.
func TestPlanOfAnotherState(t *testing.T) {
	image := partitioned(t, make([]byte, 8*disk.MiB), "label: gpt\nstart=2048, size=2048, type=linux, name=there\n")
	snapshot, err := probe.Disk(simdev.New(image), 512)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planner.Make(loadTOML(t, freshDefinition), snapshot, host.Facts{}, planner.Options{Seed: uuid.New(), Empty: planner.EmptyRefuse})
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(t)
	env.Sealers = []Sealer{fileStub{}}
	for name, now := range map[string][]byte{
		"another table":   partitioned(t, make([]byte, 8*disk.MiB), "label: gpt\nstart=2048, size=4096, type=linux, name=there\n"),
		"another content": append(append(append([]byte{}, image[:disk.MiB]...), extImage(t, disk.MiB)...), image[2*disk.MiB:]...),
	} {
		dev := simdev.New(now)
		if _, err := Apply(context.Background(), simTarget{dev, false}, plan, env); !errors.Is(err, ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", name, n)
		}
	}
}

// TestPreparedBeforePublished: a table never names a partition whose content a power cut could
// still take away.
func TestPreparedBeforePublished(t *testing.T) {
	image := partitioned(t, make([]byte, 8*disk.MiB), "label: gpt\n")
	dev := simdev.New(image)
	if err := applyTo(t, dev, freshDefinition, fileStub{}); err != nil {
		t.Fatal(err)
	}
	unflushed, prepared := 0, 0
	for i, op := range dev.Log() {
		table := op.Offset < int64(disk.MiB) || op.Offset >= int64(8*disk.MiB-33*512)
		switch {
		case op.Offset == 512 && len(op.Data) >= 128 && bytes.Equal(op.Data[:128], image[512:640]): // claims space, and names no partition
			if prepared > 0 {
				t.Fatalf("operation %d claims space that was written to already", i)
			}
		case op.Sync:
			unflushed = 0
		case table && prepared == 0:
			t.Fatalf("operation %d writes the table first", i)
		case table && unflushed > 0:
			t.Fatalf("operation %d writes the table, and %d writes before it are not flushed", i, unflushed)
		case table:
			return
		default:
			prepared++
			unflushed++
		}
	}
	t.Error("no table was written")
}

// TestFrontIsBounded: what is kept of a volume's beginning in memory is as large as a header and
// its keyslots may be, whatever a header says.
func TestFrontIsBounded(t *testing.T) {
	f := &front{}
	for name, at := range map[string]int64{"before it": -1, "behind it": maxFront} {
		if _, err := f.WriteAt([]byte{1}, at); err == nil || !strings.HasPrefix(err.Error(), "header and keyslots need ") {
			t.Errorf("a write %s: %v", name, err)
		}
		if _, err := f.ReadAt(make([]byte, 1), at+min(at, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a read %s: %v", name, err)
		}
	}
	if _, err := f.WriteAt([]byte{1}, maxFront-1); err != nil || len(f.bytes) != maxFront {
		t.Errorf("the last byte: %v, %d bytes", err, len(f.bytes))
	}
}

// TestHeaderDisagreesWithPlan: a header in memory that has the data elsewhere than the plan, or
// has not room for all of it, never reaches the disk.
func TestHeaderDisagreesWithPlan(t *testing.T) {
	plain := extImage(t, crashData)
	for name, c := range map[string]struct {
		begin func(*conversion, *volume) error
		want  string
	}{
		"detached": {func(c *conversion, v *volume) error { return c.beginDetached(context.Background(), v) },
			"the header says that the data is at 1048576, and it is at 0"},
		"too little room": {func(c *conversion, v *volume) error {
			c.action.DataSize = crashDisk + 4096
			return c.beginForward(v)
		}, "8699904 bytes are to be encrypted, and there are "},
	} {
		dev := simdev.New(append(append([]byte{}, plain...), make([]byte, crashDisk-crashData)...))
		conversion, v := shiftOf(t, dev)
		if err := c.begin(conversion, v); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", name, err, c.want)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", name, n)
		}
	}
}

// TestProofIsOfTheVolumesKey: a keyslot that opens, but gives another key, proves nothing.
func TestProofIsOfTheVolumesKey(t *testing.T) {
	v, err := newVolumeWith(testEnv(t), stubEncryption(2*disk.MiB, 512), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	v.device = v.front
	other, err := secret.Take(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Wipe()
	sealed, err := stub{}.Seal(t.Context(), definitions.Key{})
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Passphrase.Wipe()
	if err := v.prove(t.Context(), stub{}, definitions.Key{}, sealed, 0, v.key); err != nil {
		t.Errorf("its own key: %v", err)
	}
	if err := v.prove(t.Context(), stub{}, definitions.Key{}, sealed, 0, other); err == nil || err.Error() != "sealed, but keyslot 0 gives another key" {
		t.Errorf("another key: %v", err)
	}
}

// TestTokenOpensNothing: what a token is no key for is said, and nothing is tried.
func TestTokenOpensNothing(t *testing.T) {
	v := boundVolume(t, "6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a")
	defer v.wipe()
	for want, token := range map[string]luks2.Token{
		"it is for no keyslot of this key":       {Type: "stub", Keyslots: []int{7}},
		"this kind of token cannot be used here": {Type: "another", Keyslots: []int{0}},
	} {
		if key, err := unlockByToken(t.Context(), testEnv(t), v.header, v.front, token, []int{0, 1}); err == nil || err.Error() != want || key != nil {
			t.Errorf("%v, not %q", err, want)
		}
	}
	if _, err := v.openBySource(t.Context(), testEnv(t), "file:/x"); err == nil || err.Error() != "there is nothing here to read key sources" {
		t.Errorf("a key source: %v", err)
	}
}

// TestImagesAreNotMounted by the kernel of whoever works on them, unless asked.
func TestImagesAreNotMounted(t *testing.T) {
	for name, c := range map[string]struct {
		target  Target
		asked   bool
		refused string
	}{
		"a disk in memory": {simTarget{simdev.New(nil), false}, true, "a file system on this disk cannot be mounted"},
		"an image":         {fakeImage{}, false, "a file system in an image file is mounted only when that is asked for (--mount)"},
		"asked":            {fakeImage{}, true, ""},
	} {
		x := &run{dev: c.target, env: Env{Mount: c.asked}}
		if _, err := x.mountable(); (err == nil) != (c.refused == "") || err != nil && err.Error() != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeImage is an image file that could be mounted.
type fakeImage struct {
	Target
	mountable
}

func (fakeImage) IsBlockDevice() bool { return false }

// TestNewPartitionIsClean: where new content may leave out what is zero, nothing of an earlier
// life is recognised at the ends of a new partition, and beside it not a byte changes. Storage
// that zeroes what is discarded has it all zeroed.
func TestNewPartitionIsClean(t *testing.T) {
	const size, at, length = 8 * disk.MiB, 2 * disk.MiB, 4 * disk.MiB
	for name, c := range map[string]struct {
		discard, zeroes bool
		length, left    disk.Bytes // of the partition, and in its middle as it was
	}{
		"":                          {false, false, length, length - 2*signatures},
		"discarded, to no effect":   {true, false, length, length - 2*signatures},
		"zeroed":                    {true, true, length, 0},
		"zeroed, though not wanted": {false, true, length, 0},
		"a short one":               {false, false, signatures / 2, 0},
	} {
		dev := simdev.New(bytes.Repeat([]byte{0xaa}, int(size)))
		part, err := blockdev.NewSection(simTarget{dev, c.zeroes}, disk.Extent{Offset: at, Size: c.length})
		if err != nil {
			t.Fatal(err)
		}
		x := &run{dev: simTarget{dev, c.zeroes}}
		if err := x.clean(part, c.discard); err != nil {
			t.Fatal(err)
		}
		got := dev.Bytes()
		end := (c.length - c.left) / 2
		for _, ours := range [][]byte{got[at : at+end], got[at+c.length-end : at+c.length]} {
			if len(bytes.Trim(ours, "\x00")) > 0 {
				t.Errorf("%s: something is left at an end", name)
			}
		}
		for _, kept := range [][]byte{got[:at], got[at+end : at+c.length-end], got[at+c.length:]} {
			if len(bytes.Trim(kept, "\xaa")) > 0 {
				t.Errorf("%s: more than the ends has changed", name)
			}
		}
	}
}

// TestUnfinishedUntilWiped: a volume on which old data is still to be wiped is not finished: its
// keys are not changed, and its header is neither backed up nor the place of a backup.
func TestUnfinishedUntilWiped(t *testing.T) {
	const want = "a conversion of the volume was not finished"
	dev := simdev.New(gapImage(t, tpmLess(t)))
	part, _ := gapVolume(t, dev)
	var backup bytes.Buffer
	if err := BackupHeader(t.Context(), part, &backup); err != nil {
		t.Fatal(err)
	}
	forge(t, dev, `{"type":"sealpart","keyslots":[],"wipe-offset":"2093056","wipe-size":"4096"}`)
	before := string(dev.Bytes())
	_, _, change := ChangeKeys(t.Context(), keyEnv(t), part, decided(planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}}))
	_, restore := RestoreHeader(t.Context(), testEnv(t), part, bytes.NewReader(backup.Bytes()), int64(backup.Len()), false)
	for name, err := range map[string]error{
		"change of keys": change, "backup": BackupHeader(t.Context(), part, new(bytes.Buffer)), "restoring": restore,
	} {
		if !errors.Is(err, errUnfinished) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if string(dev.Bytes()) != before {
		t.Error("the disk differs")
	}
}
