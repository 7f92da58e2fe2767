package planner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner/plan"
)

// oracleCases is how many random disks the ordinary test compares.
const oracleCases = 300

// TestOracle compares plans with those of systemd-repart 252 for the same random
// definitions and disks. The seed is logged; SEALPART_TEST_SEED repeats it.
func TestOracle(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	repart := testenv.Need(t, "systemd-repart")
	sfdisk := testenv.Need(t, "sfdisk")
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEALPART_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	cases := oracleCases
	if n, err := strconv.Atoi(os.Getenv("SEALPART_TEST_CASES")); err == nil {
		cases = n
	}
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	places, refusals, grown, failures, skipped := 0, 0, 0, 0, 0
	for i := range cases {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		c := randomCase(rng)
		if c.differs(t) {
			skipped++
			continue
		}
		theirs, ok := c.ask(t, repart, sfdisk, filepath.Join(dir, strconv.Itoa(i)))
		ours, err := Make(c.defs, c.snap, host.Facts{}, c.options())
		var noSpace *NoSpaceError
		switch {
		case err != nil && !errors.As(err, &noSpace):
			t.Fatalf("case %d: %v", i, err)
		case (err == nil) != ok:
			t.Errorf("case %d: ours: %v; theirs: %v\n%s", i, err, ok, c)
			failures++
		case err != nil:
			refusals++
		default:
			if err := plan.Check(ours, c.snap); err != nil {
				t.Errorf("case %d: %v\n%s", i, err, c)
			}
			if diff := compareOracle(ours, theirs); diff != "" {
				t.Errorf("case %d: %s\n%s", i, diff, c)
				failures++
			}
			places += len(ours.Rows)
			grown += len(ours.Actions)
		}
		if failures > 5 {
			t.Fatal("too many differences")
		}
	}
	t.Logf("%d cases: %d partitions compared, %d actions, %d refused by both, %d skipped", cases, places, grown, refusals, skipped)
	if places < cases || refusals == 0 || grown == 0 {
		t.Error("the cases have become trivial")
	}
}

// oracleCase is one disk and its definitions.
type oracleCase struct {
	snap disk.Snapshot
	defs []definitions.Definition
}

func (c oracleCase) options() Options {
	if c.snap.Table.Kind == disk.GPT {
		return options(EmptyRefuse)
	}
	return options(EmptyRequire)
}

var oracleTypes = []string{"root", "usr", "home", "srv", "var", "tmp", "swap", "esp", "xbootldr", "linux-generic", "root-arm64", "usr-verity", "root-verity-sig"}

// randomCase draws a disk of up to 4 GiB with up to 6 partitions, and up to 7
// definitions.
//
// Where 252 differs from the versions after it, the cases are such that it does
// not show: see the comments.
func randomCase(rng *rand.Rand) oracleCase {
	c := oracleCase{snap: blank(disk.Bytes(16+rng.IntN(4096)) * disk.MiB)}
	if rng.IntN(3) > 0 {
		c.snap = randomTable(rng, c.snap.Size)
	}
	for range 1 + rng.IntN(7) {
		c.defs = append(c.defs, randomDefinition(rng))
	}
	c.defs = named(c.defs...)
	return c
}

func randomTable(rng *rand.Rand, size disk.Bytes) disk.Snapshot {
	var partitions []disk.Partition
	next := int64(2048)
	end := int64(plan.LastUsable(size, 512, 128))
	for range rng.IntN(6) {
		start := next
		if rng.IntN(2) == 0 {
			start += 8 * rng.Int64N(1+(end-next)/32)
		}
		length := 8 * (1 + rng.Int64N(1+(end-start)/32))
		if start+length > end {
			break
		}
		p := there(oracleTypes[rng.IntN(len(oracleTypes))], start, length)
		p.Name = "old " + p.Name // says nothing of whose it is
		partitions, next = append(partitions, p), start+length
	}
	// Numbers need not follow the order on the disk.
	if rng.IntN(3) == 0 {
		rng.Shuffle(len(partitions), func(i, j int) { partitions[i], partitions[j] = partitions[j], partitions[i] })
	}
	return gpt(size, partitions...)
}

func randomDefinition(rng *rand.Rand) definitions.Definition {
	d := want(oracleTypes[rng.IntN(len(oracleTypes))])
	p := &d.Partition
	size := func() disk.Bytes {
		return disk.Bytes(rng.Int64N(int64(256*disk.MiB)) >> rng.IntN(12))
	}
	maybe := func(n int) bool { return rng.IntN(n) == 0 }
	if maybe(2) {
		p.SizeMin = new(size())
	}
	if maybe(3) {
		p.SizeMax = new(orElse(p.SizeMin, 0) + size())
	}
	if maybe(4) {
		p.PaddingMin = new(size())
	}
	if maybe(6) {
		p.PaddingMax = new(orElse(p.PaddingMin, 0) + size())
	}
	if maybe(2) {
		p.Weight = rng.Uint32N(maxWeight + 1)
		if maybe(3) {
			p.Weight = rng.Uint32N(3)
		}
	}
	if maybe(5) {
		p.PaddingWeight = rng.Uint32N(3000)
	}
	if maybe(3) {
		p.Priority = int32(rng.IntN(6)) - 1
	}
	if maybe(4) {
		p.Label = "label " + strconv.Itoa(rng.IntN(3))
	}
	return d
}

// ask lets systemd-repart plan; ok is false where it says that there is no space.
func (c oracleCase) ask(t *testing.T, repart, sfdisk, dir string) (rows []oracleRow, ok bool) {
	t.Helper()
	confs := filepath.Join(dir, "repart.d")
	if err := os.MkdirAll(confs, 0o755); err != nil {
		t.Fatal(err)
	}
	turns := (&layout{snap: c.snap, opts: c.options()}).turns(c.defs)
	for _, d := range c.defs {
		if err := os.WriteFile(filepath.Join(confs, d.Name+".conf"), []byte(conf(spelledOut(d, turns[d.Name] != 0))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "image")
	c.makeImage(t, sfdisk, image)
	empty := "--empty=refuse"
	if c.snap.Table.Kind != disk.GPT {
		empty = "--empty=require"
	}
	cmd := exec.Command(repart, "--dry-run=yes", "--json=short", "--no-pager", "--seed="+testSeed.String(), empty, "--definitions="+confs, image)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if !strings.Contains(stderr.String(), "fit") && !strings.Contains(stderr.String(), "space") {
			t.Fatalf("systemd-repart: %v\n%s\n%s", err, stderr.String(), c)
		}
		return nil, false
	}
	if len(bytes.TrimSpace(out)) > 0 {
		if err := json.Unmarshal(out, &rows); err != nil {
			t.Fatalf("systemd-repart: %v in %s", err, out)
		}
	}
	slices.SortFunc(rows, func(a, b oracleRow) int { return int(a.Offset - b.Offset) })
	return rows, true
}

// differs reports whether the case is one of three that 252 is wrong about. In the
// first two, later versions plan as we do:
//   - A partition that is there is smaller than its definition wants and has no
//     free space behind it. That is refused; 252 overlooks it.
//   - Something is left over in an area, and the partition before it could take it.
//     It goes there first; 252 only looks at the new partitions.
//   - A padding_weight makes systemd-repart resize a partition in its next run that
//     it has just made. We foresee that.
func (c oracleCase) differs(t *testing.T) bool {
	l := &layout{snap: c.snap, opts: c.options(), grain: plan.MinGrain}
	if err := l.prepare(c.defs); err != nil {
		t.Fatal(err)
	}
	l.findAreas()
	l.settleNeeds()
	if slices.ContainsFunc(l.parts, func(p *part) bool {
		return p.old != nil && p.def != nil && p.gap == nil && l.footprint(p) > p.old.Size
	}) {
		return true
	}
	if l.fit() != nil {
		return false
	}
	l.distribute()
	l.place()
	before := l.extents()
	if l.foresee(); !slices.Equal(before, l.extents()) {
		return true
	}
	return slices.ContainsFunc(l.areas, func(a *area) bool {
		if a.before == nil || a.before.foreign() {
			return false
		}
		left := l.settle(a, append([]*part{a.before}, a.new...))
		return left >= l.grain && a.before.extent.Size < a.before.needs.max && a.before.needs.weight > 0
	})
}

func (l *layout) extents() (list []disk.Extent) {
	for _, p := range l.parts {
		list = append(list, p.extent)
	}
	return list
}

// makeImage makes a sparse file with the table of the case.
func (c oracleCase) makeImage(t *testing.T, sfdisk, image string) {
	t.Helper()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, int64(c.snap.Size)); err != nil {
		t.Fatal(err)
	}
	if c.snap.Table.Kind != disk.GPT {
		return
	}
	script := fmt.Sprintf("label: gpt\nlabel-id: %s\nfirst-lba: %d\n", c.snap.Table.GUID, c.snap.Table.FirstUsable)
	for _, p := range c.snap.Partitions {
		script += fmt.Sprintf("%d : start=%d, size=%d, type=%s, uuid=%s, name=\"%s\"\n", p.Number, p.Offset/512, p.Size/512, p.Type, p.UUID, p.Name)
	}
	cmd := exec.Command(sfdisk, "--quiet", "--no-reread", "--no-tell-kernel", image)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s\n%s", err, out, script)
	}
}

// spelledOut returns a definition with sizes that we know of without them: a partition
// that is there is kept as small as it is, a signature's is of 16 KiB, which newer
// versions of systemd-repart know as well, and swap has ten pages at least.
func spelledOut(d definitions.Definition, exists bool) definitions.Definition {
	p := &d.Partition
	if strings.HasSuffix(p.Type.Designator(), "-verity-sig") {
		p.SizeMin, p.SizeMax = new(disk.Bytes(16*disk.KiB)), new(disk.Bytes(16*disk.KiB))
	}
	if least := minimalFormats["swap"]; !exists && p.Type.Designator() == "swap" && p.SizeMin != nil && *p.SizeMin < least {
		p.SizeMin = new(least)
		if p.SizeMax != nil {
			p.SizeMax = new(max(*p.SizeMax, least))
		}
	}
	if exists && (p.SizeMin == nil || p.Type.Designator() == "root-verity-sig") {
		p.SizeMin = new(disk.Bytes(4096))
	}
	return d
}

// conf writes a definition in systemd's form.
func conf(d definitions.Definition) string {
	p := d.Partition
	text := fmt.Sprintf("[Partition]\nType=%s\nWeight=%d\nPaddingWeight=%d\nPriority=%d\n", p.Type.UUID, p.Weight, p.PaddingWeight, p.Priority)
	for key, value := range map[string]*disk.Bytes{
		"SizeMinBytes": p.SizeMin, "SizeMaxBytes": p.SizeMax, "PaddingMinBytes": p.PaddingMin, "PaddingMaxBytes": p.PaddingMax,
	} {
		if value != nil {
			text += fmt.Sprintf("%s=%d\n", key, *value)
		}
	}
	if p.Label != "" {
		text += "Label=" + p.Label + "\n"
	}
	return text
}

// oracleRow is a line of systemd-repart's JSON.
type oracleRow struct {
	Type     string     `json:"type"`
	Label    string     `json:"label"`
	UUID     uuid.UUID  `json:"uuid"`
	File     string     `json:"file"`
	Offset   disk.Bytes `json:"offset"`
	OldSize  disk.Bytes `json:"old_size"`
	Size     disk.Bytes `json:"raw_size"`
	Padding  disk.Bytes `json:"raw_padding"`
	Activity string     `json:"activity"`
}

// compareOracle tells how the plans differ, "" for not at all.
//
// What nobody in an area takes, 252 leaves in front of its new partitions where
// another partition lies before the area, and later versions leave behind them.
// So the offsets of new partitions between two existing ones may differ by what is
// left over, the same for all of them.
func compareOracle(p *plan.Plan, theirs []oracleRow) string {
	var a, b []string
	shift, behindOld, fresh := disk.Bytes(0), false, true
	for i, r := range p.Rows {
		if i < len(theirs) && r.Activity == plan.ActivityCreate {
			if left := theirs[i].Offset - r.Offset; behindOld && fresh && left > 0 {
				shift = left
			}
			r.Offset, fresh = r.Offset+shift, false
		} else {
			shift, behindOld, fresh = 0, true, true
		}
		a = append(a, fmt.Sprintf("%d+%d %s %q %s %s", r.Offset, r.Size, r.UUID, r.Name, r.Activity, r.Definition))
	}
	for _, r := range theirs {
		b = append(b, fmt.Sprintf("%d+%d %s %q %s %s", r.Offset, r.Size, r.UUID, r.Label, r.Activity, strings.TrimPrefix(strings.TrimSuffix(r.File, ".conf"), "-")))
	}
	if slices.Equal(a, b) {
		return ""
	}
	return "ours:\n" + strings.Join(a, "\n") + "\ntheirs:\n" + strings.Join(b, "\n")
}

// String writes the case down.
func (c oracleCase) String() string {
	text := fmt.Sprintf("disk of %d bytes\n", c.snap.Size)
	for _, p := range c.snap.Partitions {
		text += fmt.Sprintf("  %d %s %d+%d\n", p.Number, p.Name, p.Offset, p.Size)
	}
	for _, d := range c.defs {
		text += d.Name + ": " + strings.ReplaceAll(conf(d), "\n", " ") + "\n"
	}
	return text
}
