package executor

import (
	"bytes"
	"context"
	"math/rand/v2"
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
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// The disk of the gap: free space, and a partition full to the last byte.
const (
	gapDisk  = 8 * disk.MiB
	gapShift = 2 * disk.MiB
)

var gapData = disk.Extent{Offset: 3 * disk.MiB, Size: 3 * disk.MiB}

// gapImage lays the disk out by sfdisk.
func gapImage(t testing.TB, plain []byte) []byte {
	t.Helper()
	image := make([]byte, gapDisk)
	copy(image[gapData.Offset:], plain)
	return partitioned(t, image, "label: gpt\nstart=6144, size=6144, type=linux, name=data\n")
}

// gapDefinition asks for the only partition to be encrypted behind a header that
// lies before it.
var gapDefinition = map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "convert", header_room = ["gap"], header_size = "2M", key = [{ type = "file" }] }`}

// applyTo is one run of the command: probe, plan, apply.
func applyTo(t testing.TB, dev *simdev.Device, files map[string]string, sealer Sealer) error {
	t.Helper()
	return applyWith(t, dev, files, nil, sealer)
}

// applyWith does that with several kinds of key, of which some are known to be absent.
func applyWith(t testing.TB, dev *simdev.Device, files map[string]string, absent []definitions.Key, sealers ...Sealer) error {
	t.Helper()
	return applyTold(t, dev, files, absent, nil, sealers...)
}

// applyTold is applyWith for a test that listens.
func applyTold(t testing.TB, dev *simdev.Device, files map[string]string, absent []definitions.Key, told func(Event), sealers ...Sealer) error {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		return err
	}
	options := planner.Options{Seed: uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"), Empty: planner.EmptyRefuse, Absent: absent}
	plan, err := planner.Make(loadTOML(t, files), snapshot, host.Facts{}, options)
	if err != nil {
		return err
	}
	env := testEnv(t)
	env.Report, env.Sealers, env.Keys = told, sealers, []definitions.Key{{Type: definitions.KeyFile}}
	env.KeySource = func(context.Context, string) (*secret.Buffer, error) {
		return secret.Take([]byte(vendorPassphrase))
	}
	if options.Distrusted, err = CheckMarks(context.Background(), dev, plan, env); err != nil {
		return err
	}
	if plan, err = planner.Make(loadTOML(t, files), snapshot, host.Facts{}, options); err != nil {
		return err
	}
	_, err = Apply(context.Background(), simTarget{dev, false}, plan, env)
	return err
}

// checkGap demands the data, encrypted, behind a header that begins in the gap.
func checkGap(t testing.TB, dev *simdev.Device, plain []byte) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	p := snapshot.Partitions[0]
	if want := (disk.Extent{Offset: gapData.Offset - gapShift, Size: gapData.Size + gapShift}); p.Extent != want {
		t.Errorf("the partition is at %+v, not %+v", p.Extent, want)
	}
	part, err := blockdev.NewSection(dev, p.Extent)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Export(context.Background(), testEnv(t), part, &out); err != nil {
		t.Error(err)
	} else if !bytes.Equal(out.Bytes(), plain) {
		t.Error("the content differs")
	}
}

// TestCrashWithGap cuts the power anywhere in a run that writes a header before the
// partition, moves the partition's start, and converts.
func TestCrashWithGap(t *testing.T) {
	plain := extImage(t, gapData.Size)
	whole := simdev.New(gapImage(t, plain))
	if err := applyTo(t, whole, gapDefinition, fileStub{}); err != nil {
		t.Fatal(err)
	}
	checkGap(t, whole, plain)
	rng := rand.New(rand.NewPCG(seedOfCrashes(), 2))
	published := 0
	for _, k := range cutPoints(whole.Log(), rng) {
		cut := whole.CrashAfter(k, rng)
		published += checkEither(t, cut, plain)
		if err := applyTo(t, cut, gapDefinition, fileStub{}); err != nil {
			t.Fatalf("after operation %d of %d: %v", k, len(whole.Log()), err)
		}
		checkGap(t, cut, plain)
		if t.Failed() {
			t.Fatalf("seed %d, after operation %d of %d", seedOfCrashes(), k, len(whole.Log()))
		}
	}
	if published == 0 {
		t.Error("no cut came after the table was written")
	}
}

// checkEither demands that the partition is what it was, byte for byte, or a LUKS2
// volume; it returns 1 for the latter.
func checkEither(t testing.TB, dev *simdev.Device, plain []byte) int {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	p := snapshot.Partitions[0]
	if p.Content.Kind == "crypto_LUKS" && p.Offset == gapData.Offset-gapShift {
		return 1
	}
	if p.Extent != gapData || !bytes.Equal(read(t, dev, p.Extent), plain) {
		t.Errorf("the partition is at %+v and holds %q", p.Extent, p.Content.Kind)
	}
	return 0
}

// TestGapRefused: nothing is written where the place for the header is not free, or
// the plan is for another place.
func TestGapRefused(t *testing.T) {
	plain := extImage(t, gapData.Size)
	dev := simdev.New(gapImage(t, plain))
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	x := newRun(testEnv(t), simTarget{dev, false}, &plan.Plan{}, snapshot)
	for text, a := range map[string]plan.Reencrypt{
		"does not begin at 2621440 now": {Number: 1, Extent: disk.Extent{Offset: 512 * disk.KiB, Size: 4 * disk.MiB}, Shift: gapShift},
		"is not free: partition 1":      {Number: 1, Extent: disk.Extent{Offset: 2 * disk.MiB, Size: 4 * disk.MiB}, Shift: gapShift},
		"does not begin at 3145728 now": {Number: 2, Extent: disk.Extent{Offset: disk.MiB, Size: 5 * disk.MiB}, Shift: gapShift},
	} {
		if err := x.prepareGap(a, nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, not %q", err, text)
		}
	}
	if n := len(dev.Log()); n > 0 {
		t.Errorf("%d operations on the disk", n)
	}
}
