package executor

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
)

// meddled is a disk on which another program, which asks nobody, does something: right before
// operation at of ours, counted from 1, or while the keys are made.
type meddled struct {
	simTarget
	fileStub
	at, ops, table int // table: the first operation of those that publish the partition table
	onTable        bool
	meddle         func(*simdev.Device)
}

// count counts an operation of ours.
func (m *meddled) count() {
	if m.ops++; m.ops == m.at {
		m.meddle(m.simTarget.Device)
	}
}

// WriteAt writes.
func (m *meddled) WriteAt(p []byte, off int64) (int, error) {
	m.count()
	onTable := off < tableArea || off >= int64(m.Size())-tableArea
	if onTable && !m.onTable {
		m.table = m.ops
	}
	m.onTable = onTable
	return m.simTarget.WriteAt(p, off)
}

// Sync flushes.
func (m *meddled) Sync() error {
	m.count()
	return m.simTarget.Sync()
}

// Seal makes a key.
func (m *meddled) Seal(ctx context.Context, key definitions.Key) (Sealed, error) {
	if m.at == 0 {
		m.meddle(m.simTarget.Device)
	}
	return m.fileStub.Seal(ctx, key)
}

// tableArea is what the copies of a table take, at the begin and at the end of a disk.
const tableArea = 34 * 512

// publishedTable returns the bytes of both copies.
func publishedTable(t testing.TB, dev *simdev.Device) []byte {
	t.Helper()
	both := make([]byte, 2*tableArea)
	for at, p := range map[int64][]byte{0: both[:tableArea], int64(dev.Size()) - tableArea: both[tableArea:]} {
		if _, err := dev.ReadAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	return both
}

// TestTableWrittenMeanwhile: another program writes the partition table at any moment from
// the making of the keys to our own first write of it. Theirs stays, and we say ErrStale.
func TestTableWrittenMeanwhile(t *testing.T) {
	const size = 70 * disk.MiB
	one := "label: gpt\nstart=2048, size=2048, type=linux, name=there\n"
	two := one + "start=8192, size=122880, type=linux, name=theirs\n"
	ours, theirs := partitioned(t, make([]byte, size), one), partitioned(t, make([]byte, size), two)
	grown := append(bytes.Clone(ours), make([]byte, 8*disk.MiB)...)
	clear(grown[512:1024])
	mbr := partitioned(t, make([]byte, size), strings.ReplaceAll(one, "gpt", "dos"))
	for name, c := range map[string]struct {
		image, theirs []byte
		empty         planner.Empty
	}{
		"a partition more":                   {ours, theirs, planner.EmptyRefuse},
		"a table on a blank disk":            {make([]byte, size), theirs, planner.EmptyAllow},
		"another than the one to go":         {ours, theirs, planner.EmptyForce},
		"a GPT in the place of an MBR":       {mbr, theirs, planner.EmptyForce},
		"where only the old backup is whole": {grown, partitioned(t, make([]byte, len(grown)), two), planner.EmptyRefuse},
	} {
		t.Run(name, func(t *testing.T) {
			clean := &meddled{simTarget: simTarget{simdev.New(c.image), false}, at: -1}
			if err := applyMeddled(t, clean, c.empty); err != nil {
				t.Fatal(err)
			}
			first := clean.table
			for _, at := range []int{0, first / 2, first - 1} {
				dev := &meddled{simTarget: simTarget{simdev.New(c.image), false}, at: at, meddle: func(d *simdev.Device) { putTable(t, d, c.theirs) }}
				if err := applyMeddled(t, dev, c.empty); !errors.Is(err, ErrStale) {
					t.Errorf("before operation %d of %d: %v", at, first, err)
				}
				if !bytes.Equal(publishedTable(t, dev.Device), publishedTable(t, simdev.New(c.theirs))) {
					t.Errorf("before operation %d of %d: their table was written over", at, first)
				}
			}
		})
	}
}

// putTable puts the partition table of an image on a disk of the same size.
func putTable(t testing.TB, dev *simdev.Device, image []byte) {
	t.Helper()
	end := len(image) - tableArea
	for at, p := range map[int][]byte{0: image[:tableArea], end: image[end:]} {
		if _, err := dev.WriteAt(p, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// applyMeddled makes an encrypted partition.
func applyMeddled(t testing.TB, dev *meddled, empty planner.Empty) error {
	t.Helper()
	snapshot, err := probe.Disk(dev.simTarget, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planner.Make(loadTOML(t, map[string]string{"10-srv": `partition = { type = "srv", size_min = "64M", size_max = "64M" }
encryption = { key = [{ type = "file" }] }`}), snapshot, host.Facts{}, planner.Options{Seed: uuid.New(), Empty: empty})
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(t)
	env.Sealers = []Sealer{dev}
	_, err = Apply(t.Context(), dev, plan, env)
	return err
}
