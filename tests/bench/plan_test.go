package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// planRow plans for as many partitions as a table holds.
var planRow = row{
	name: "plan", work: "plan: 128 partitions, 128 definitions", against: "systemd-repart --dry-run",
	program: "systemd-repart", goal: goal{ratio: 1, seconds: 0.05}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		image := filepath.Join(t.TempDir(), "image")
		emptyFile(t, image, 2100*disk.MiB)
		var table, ours, theirs []string
		for i := range 128 {
			table = append(table, fmt.Sprintf("start=%d, size=%d, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=p%d", 2048+i*32768, 32768, i))
			ours = append(ours, fmt.Sprintf("[partition]\ntype = \"linux-generic\"\nweight = 0\nlabel = \"p%d\"\n", i))
			theirs = append(theirs, fmt.Sprintf("[Partition]\nType=linux-generic\nWeight=0\nLabel=p%d\n", i))
		}
		partitions(t, image, table...)
		defs, repart := definitionsDir(t, ours...), repartDir(t, theirs)
		return contest{
			ours: func(t testing.TB) sample { return often(t, w.sealpart, "plan", "--definitions", defs, image) },
			peer: func(t testing.TB) sample {
				return often(t, "systemd-repart", "--dry-run=yes", "--no-pager", "--definitions="+repart, image)
			},
		}
	},
}

// repartDir writes definitions of systemd-repart.
func repartDir(t testing.TB, texts []string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.conf", i)), []byte(text), 0o600))
	}
	return dir
}

// bootRow is what every boot but the first costs.
var bootRow = row{
	name: "boot", work: "apply with nothing to do, ten definitions",
	goal: goal{seconds: 0.03, rss: 30 * disk.MiB}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		image, defs := w.tenPartitions(t)
		return contest{ours: func(t testing.TB) sample {
			if _, out := run(t, w.sealpart, "apply", "--definitions", defs, image); out != "" {
				t.Fatalf("there was something to do:\n%s", out)
			}
			return often(t, w.sealpart, "apply", "--definitions", defs, image)
		}}
	},
}

// tenPartitions makes an image as a device has it after its first boot.
func (w *workshop) tenPartitions(t testing.TB) (image, defs string) {
	t.Helper()
	texts := []string{creation("esp", "vfat", 64*disk.MiB), creation("swap", "swap", 16*disk.MiB)}
	for i, kind := range []string{"root", "usr", "home", "srv", "var", "tmp", "linux-generic", "xbootldr"} {
		text := creation(kind, "ext4", 64*disk.MiB)
		if i%2 == 0 {
			text = encrypted(text)
		}
		texts = append(texts, text)
	}
	image, defs = filepath.Join(t.TempDir(), "image"), definitionsDir(t, texts...)
	w.apply(t, ourKey().make(t), "--empty", "create", "--size", "1G", "--definitions", defs, image)
	return image, defs
}

// snapshotsRow plans for a fleet, from what its devices reported. It runs the
// planner's own benchmark, on one core.
var snapshotsRow = row{
	name: "snapshots", work: "plans from saved snapshots, one core", program: "go",
	goal: goal{seconds: 1.0 / 5000}, show: aSecond,
	prepare: func(t *testing.T, w *workshop) contest {
		program := filepath.Join(t.TempDir(), "planner.test")
		run(t, "go", "test", "-c", "-o", program, "../../planner")
		benchtime := map[bool]string{true: "1s", false: "50ms"}[w.full]
		return contest{ours: func(t testing.TB) sample {
			s, out := run(t, program, "-test.run", "^$", "-test.bench", "^BenchmarkSavedSnapshot$", "-test.cpu", "1", "-test.benchtime", benchtime)
			s.seconds = nanoseconds(t, out) / 1e9
			return s
		}}
	},
}

// perOperation is the figure in the line of a Go benchmark.
var perOperation = regexp.MustCompile(`([0-9.]+) ns/op`)

func nanoseconds(t testing.TB, out string) float64 {
	t.Helper()
	found := perOperation.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no figure in what the benchmark says:\n%s", out)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	check(t, err)
	return value
}
