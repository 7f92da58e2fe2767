package executor

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
)

// enlarge makes the only partition of a disk larger, as growpart does.
func enlarge(t testing.TB, dev *simdev.Device, by disk.Bytes) {
	t.Helper()
	state, err := gpt.Read(dev, dev.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	entries := slices.Clone(state.Entries)
	entries[0].Size += by
	writes, err := state.Writes(state.Table, entries, dev.Size())
	if err = errors.Join(err, state.Apply(dev, writes)); err != nil {
		t.Fatal(err)
	}
}

// TestRekeyOfWholeSectorsOnly: a volume of 4096-byte sectors in a partition that was made larger
// by a few sectors is not rekeyed there, for in the middle of that nothing would open it; where
// its definition lets the partition grow to a whole one, it is.
func TestRekeyOfWholeSectorsOnly(t *testing.T) {
	w := mode{sector: 4096, rekey: true}.newWorld(t)
	dev := simdev.New(gapImage(t, w.part.Bytes()))
	enlarge(t, dev, 3*512)
	before := dev.Bytes()
	err := applyTo(t, dev, rekeyDefinition, tokenless{})
	var refusal *planner.Refusal
	const want = "test/10-data.toml: partition 1: its data is in sectors of 4096 bytes, and 1536 bytes of the partition are no whole one"
	if !errors.As(err, &refusal) || err.Error() != want || refusal.Remedy != "make the partition 1536 bytes smaller, as it was when the volume was made, or 2560 larger" {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(dev.Bytes(), before) {
		t.Error("something was written")
	}
	grows := map[string]string{"10-data": `partition = { type = "linux-generic", size_min = "1M" }
encryption = { existing = "rekey", existing_key = "file:/vendor", key = [{ type = "file" }] }`}
	if err := applyTo(t, dev, grows, tokenless{}); err != nil {
		t.Fatal(err)
	}
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	volume := read(t, dev, snapshot.Partitions[0].Extent)
	if !opensBy(t, volume, passphrase) || opensBy(t, volume, vendorPassphrase) {
		t.Error("it does not open by the new key, or opens by the old one")
	}
}

// TestEnlargedWhileItsLastZoneIsHot: a partition that is made larger while a conversion that
// moves nothing is in its last zone can be read, and is finished.
func TestEnlargedWhileItsLastZoneIsHot(t *testing.T) {
	for _, by := range []disk.Bytes{512, 3 * 512, disk.MiB} {
		plain := extImage(t, gapData.Size)
		whole := simdev.New(gapImage(t, plain))
		last := 0
		told := func(e Event) {
			if e.Phase == Committed && e.Step == "hot zone" {
				last = len(whole.Log())
			}
		}
		if err := applyTold(t, whole, gapDefinition, nil, told, fileStub{}); err != nil {
			t.Fatal(err)
		}
		dev := simdev.New(whole.CrashAfter(last, nil).Bytes())
		enlarge(t, dev, by)
		if err := applyTo(t, dev, gapDefinition, fileStub{}); err != nil {
			t.Errorf("larger by %d: %v", by, err)
			continue
		}
		snapshot, err := probe.Disk(dev, 512)
		if err != nil || snapshot.Partitions[0].Content.LUKS == nil || snapshot.Partitions[0].Content.LUKS.Reencryption != nil {
			t.Fatalf("larger by %d: %+v (%v)", by, snapshot.Partitions, err)
		}
		if !opensBy(t, read(t, dev, snapshot.Partitions[0].Extent), passphrase) {
			t.Errorf("larger by %d: cryptsetup does not open it", by)
		}
		part, err := blockdev.NewSection(dev, snapshot.Partitions[0].Extent)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Export(context.Background(), testEnv(t), part, &out); err != nil || !bytes.HasPrefix(out.Bytes(), plain) {
			t.Errorf("larger by %d: the content differs (%v)", by, err)
		}
	}
}
