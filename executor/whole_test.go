package executor

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// wholeDefinitions ask for everything at once: a root that grows and is converted,
// a plain and an encrypted file system, a bare partition and a verity pair.
var wholeDefinitions = map[string]string{
	"10-root": `partition = { type = "root", weight = 0 }
encryption = { existing = "convert", header_room = ["grow"], key = [{ type = "file" }] }`,
	"20-bare": `partition = { type = "linux-generic", label = "bare", match = { label = "bare" }, size_min = "1M", size_max = "1M" }`,
	"30-plain": `partition = { type = "var", size_min = "32M", size_max = "32M" }
filesystem = { format = "ext4", copy_files = ["/tree:/"] }`,
	"40-sealed": `partition = { type = "srv", size_min = "64M", size_max = "64M" }
filesystem = { format = "ext4", copy_files = ["/tree:/"] }
encryption = { key = [{ type = "file" }] }`,
	"50-usr": `partition = { type = "usr", size_min = "2M", size_max = "2M", read_only = true }
filesystem = { copy_blocks = "/usr.raw" }
verity = { role = "data", match_key = "usr" }`,
	"60-usr-verity": `partition = { type = "usr-verity", size_min = "64K", size_max = "64K" }
verity = { role = "hash", match_key = "usr" }`,
}

// The disk that they meet: two foreign partitions of random bytes, one on either
// side of a root whose file system needs three hot zones.
const (
	wholeSize = 180 * disk.MiB
	wholeFS   = 40 * disk.MiB
)

var (
	wholeRoot    = disk.Extent{Offset: 4 * disk.MiB, Size: 42 * disk.MiB}
	wholeForeign = []disk.Extent{{Offset: 1 * disk.MiB, Size: 2 * disk.MiB}, {Offset: 178 * disk.MiB, Size: 1 * disk.MiB}}
)

const wholeLayout = `label: gpt
label-id: 9A4BF7AE-8B5C-4A0A-94A1-6F5C8F1F2A10
start=2048, size=4096, type=21686148-6449-6E6F-744E-656564454649, name=boot
start=8192, size=86016, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
start=364544, size=2048, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name=msr
`

// whole is one disk, its definitions and what must be on it in the end.
type whole struct {
	definitions []definitions.Definition
	image       []byte // before
	plain       []byte // root's file system
	env         Env
	// zeroes is set where discarded space reads as zero, as in an image file.
	zeroes bool
}

// wholeShared is what is made only once for all tests.
var wholeShared struct {
	sync.Mutex
	image, plain []byte
	lived        []byte // image as a block device
}

// newWhole makes the disk. As an image file its free space reads as zero; as a
// block device it is full of what earlier lives left.
func newWhole(t testing.TB, zeroes bool) *whole {
	t.Helper()
	wholeShared.Lock()
	defer wholeShared.Unlock()
	if wholeShared.image == nil {
		wholeShared.plain = extImage(t, wholeFS)
		wholeShared.image = wholeImage(t, wholeShared.plain)
		wholeShared.lived = bytes.Clone(wholeShared.image)
		rand.NewChaCha8([32]byte{9}).Read(wholeShared.lived[wholeRoot.End():wholeForeign[1].Offset])
	}
	w := &whole{
		definitions: loadTOML(t, wholeDefinitions), env: wholeEnv(t), zeroes: zeroes,
		image: wholeShared.image, plain: wholeShared.plain,
	}
	if !zeroes {
		w.image = wholeShared.lived
	}
	return w
}

// wholeEnv is an Env with a key of type "file" and a tree to copy.
func wholeEnv(t testing.TB) Env {
	env := testEnv(t)
	env.Sealers = []Sealer{fileStub{}}
	env.Epoch = new(time.Time)
	*env.Epoch = time.Unix(1700000000, 0)
	env.Root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(env.Root, "tree/etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(env.Root, "tree/etc/motd"), []byte(strings.Repeat("sealed\n", 3000)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(env.Root, "usr.raw"), usrImage(), 0o644); err != nil {
		t.Fatal(err)
	}
	return env
}

// usrImage is what is copied, block by block, into the partition under verity.
func usrImage() []byte {
	image := make([]byte, 2*disk.MiB)
	rand.NewChaCha8([32]byte{10}).Read(image)
	return image
}

// fileStub is the stub under the name of a kind that definitions know.
type fileStub struct{ stub }

func (fileStub) Kind() string { return definitions.KeyFile }

// wholeImage lays the disk out by sfdisk.
func wholeImage(t testing.TB, plain []byte) []byte {
	t.Helper()
	image := make([]byte, wholeSize)
	source := rand.NewChaCha8([32]byte{8})
	for _, e := range wholeForeign {
		source.Read(image[e.Offset:e.End()])
	}
	copy(image[wholeRoot.Offset:], plain)
	return partitioned(t, image, wholeLayout)
}

// partitioned writes a partition table over an image, by sfdisk.
func partitioned(t testing.TB, image []byte, layout string) []byte {
	t.Helper()
	path := fileOf(t, image)
	cmd := exec.Command(testenv.Need(t, "sfdisk"), "-q", "--no-reread", "--wipe=never", path)
	cmd.Stdin = strings.NewReader(layout)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// loadTOML reads definitions as a user writes them.
func loadTOML(t testing.TB, files map[string]string) []definitions.Definition {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name+".toml"] = &fstest.MapFile{Data: []byte(text)}
	}
	defs, err := definitions.Load(definitions.Options{
		Sources: []definitions.Source{{FS: dir, Dir: "test"}}, Architecture: "x86-64",
	})
	if err != nil {
		t.Fatal(err)
	}
	return defs
}

// simTarget is a simdev as the executor needs it.
type simTarget struct {
	*simdev.Device
	zeroes bool
}

func (s simTarget) ZeroesDiscarded() bool { return s.zeroes }

// Discard on a device that does not zero leaves what was there.
func (s simTarget) Discard(e disk.Extent) error {
	if !s.zeroes {
		return nil
	}
	return s.Device.Discard(e)
}

func (simTarget) Grow(size disk.Bytes) error    { return fmt.Errorf("asked to grow to %d", size) }
func (simTarget) CutBack(size disk.Bytes) error { return fmt.Errorf("asked to shrink to %d", size) }

func (simTarget) TellKernel([]disk.Entry, []disk.Entry, disk.Bytes) error { return nil }

// plan compares the definitions with the disk.
func (w *whole) plan(dev *simdev.Device) (*plan.Plan, error) {
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		return nil, err
	}
	options := planner.Options{
		Seed: uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"), Discard: true, Empty: planner.EmptyRefuse,
		SourceSizes: map[string]disk.Bytes{"/usr.raw": 2 * disk.MiB},
	}
	if !w.zeroes {
		options.Leftovers = plan.LeftoversDiscard
	}
	return planner.Make(w.definitions, snapshot, host.Facts{}, options)
}

// apply is one run of the command: probe, plan, apply.
func (w *whole) apply(ctx context.Context, dev *simdev.Device) error {
	p, err := w.plan(dev)
	if err != nil {
		return err
	}
	env := w.env
	env.Random = rand.NewChaCha8([32]byte{1})
	_, err = Apply(ctx, simTarget{dev, w.zeroes}, p, env)
	return err
}

// mustApply applies once.
func (w *whole) mustApply(t testing.TB, dev *simdev.Device) {
	t.Helper()
	if err := w.apply(context.Background(), dev); err != nil {
		t.Fatal(err)
	}
}

// extents returns where the plan may write, the table's places included.
func (w *whole) extents(p *plan.Plan) []disk.Extent {
	table := disk.Bytes(34 * 512)
	allowed := []disk.Extent{{Size: table}, {Offset: wholeSize - 33*512, Size: 33 * 512}}
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.Create:
			allowed = append(allowed, a.Extent)
		case plan.Verity:
			allowed = append(allowed, a.HashExtent)
		case plan.Reencrypt:
			allowed = append(allowed, a.Extent)
		}
	}
	return allowed
}

// check compares every byte that is known with what it must be, and demands that
// nothing is left to do.
func (w *whole) check(t testing.TB, dev *simdev.Device) {
	t.Helper()
	p, err := w.plan(dev)
	if err != nil {
		t.Errorf("plan: %v", err)
		return
	}
	if !p.Empty() {
		t.Errorf("there is still to do: %+v", p.Actions)
	}
	for _, e := range wholeForeign {
		if !bytes.Equal(read(t, dev, e), w.image[e.Offset:e.End()]) {
			t.Errorf("the foreign partition at %s has changed", e.Offset)
		}
	}
	w.checkTable(t, dev, p)
	if got := w.decrypted(t, dev, "root"); !bytes.Equal(got[:min(len(got), len(w.plain))], w.plain) {
		t.Error("the content of root differs")
	}
	if at := plainIn(w.part(t, dev, "root"), w.plain); at >= 0 {
		t.Errorf("plain text of root is left at %d", at)
	}
	w.checkCreated(t, dev)
}

// checkCreated compares what was copied into new partitions, and looks for the file
// systems in the others.
func (w *whole) checkCreated(t testing.TB, dev *simdev.Device) {
	t.Helper()
	if !bytes.Equal(w.part(t, dev, "usr"), usrImage()) {
		t.Error("the blocks that were copied into usr differ")
	}
	for name, content := range map[string][]byte{"var": w.part(t, dev, "var"), "srv": w.decrypted(t, dev, "srv")} {
		if !bytes.Contains(content, []byte(strings.Repeat("sealed\n", 500))) {
			t.Errorf("%s does not hold the file that was copied into it", name)
		}
		found, err := probe.Content(simdev.New(content), disk.Bytes(len(content)))
		if err != nil || found.Kind != "ext4" {
			t.Errorf("%s holds %+v (%v)", name, found, err)
		}
	}
}

// checkTable demands that both copies are there as they should be.
func (w *whole) checkTable(t testing.TB, dev *simdev.Device, p *plan.Plan) {
	t.Helper()
	state, err := gpt.Read(dev, dev.Size(), 512)
	if err != nil {
		t.Error(err)
		return
	}
	writes, err := state.Writes(p.Table, p.Entries(nil), dev.Size())
	if err != nil || len(writes) > 0 || len(state.Warnings) > 0 {
		t.Errorf("the table is not at rest: %d writes, %v, warnings %v", len(writes), err, state.Warnings)
	}
}

// entry returns the partition of a type.
func (w *whole) entry(t testing.TB, dev *simdev.Device, name string) disk.Entry {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	wanted, ok := disk.TypeByName(name, "x86-64")
	i := slices.IndexFunc(snapshot.Partitions, func(p disk.Partition) bool { return p.Type == wanted.UUID })
	if !ok || i < 0 {
		t.Fatalf("there is no partition of type %q", name)
	}
	return snapshot.Partitions[i].Entry
}

// part returns the bytes of the partition of a type.
func (w *whole) part(t testing.TB, dev *simdev.Device, name string) []byte {
	t.Helper()
	return read(t, dev, w.entry(t, dev, name).Extent)
}

// read returns a part of a disk.
func read(t testing.TB, dev *simdev.Device, e disk.Extent) []byte {
	t.Helper()
	p := make([]byte, e.Size)
	if err := readFull(dev, p, e.Offset); err != nil {
		t.Fatal(err)
	}
	return p
}

// rootHash returns the root hash that the verity pair's UUIDs tell.
func (w *whole) rootHash(t testing.TB, dev *simdev.Device) string {
	t.Helper()
	data, hash := w.entry(t, dev, "usr").UUID, w.entry(t, dev, "usr-verity").UUID
	return hex.EncodeToString(append(data[:], hash[:]...))
}

// decrypted returns the content of an encrypted partition, nil with an error told.
func (w *whole) decrypted(t testing.TB, dev *simdev.Device, name string) []byte {
	t.Helper()
	part, err := blockdev.NewSection(dev, w.entry(t, dev, name).Extent)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(make([]byte, 0, part.Size()))
	if err := Export(context.Background(), w.env, part, out); err != nil {
		t.Errorf("open %s: %v", name, err)
		return nil
	}
	return out.Bytes()
}
