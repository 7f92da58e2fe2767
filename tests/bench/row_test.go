package bench

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// maxRSS is what no row may take.
const maxRSS = 96 * disk.MiB

// row is one line of the table.
type row struct {
	name    string // of the subtest
	work    string
	against string
	program string // the peer's, "" for none
	goal    goal
	show    func(seconds float64) string
	// prepare makes what both sides need. It skips where ours is not built yet.
	prepare func(t *testing.T, w *workshop) contest
}

// goal is what a row should reach. Zero means: not asked.
type goal struct {
	ratio   float64    // the peer's seconds over ours, at least
	seconds float64    // ours, at most
	rss     disk.Bytes // the peak of ours, at most; 0 means maxRSS
	bytes   disk.Bytes // what ours leaves behind, at most
}

// contest is the two sides of a row. Each makes its input anew, then does the work
// once. peer is nil where there is nothing to compare with.
type contest struct{ ours, peer func(t testing.TB) sample }

// sample is what one run took.
type sample struct {
	seconds float64
	cpu     float64    // seconds of all cores together, 0: not measured
	rss     disk.Bytes // peak resident memory of the process and its children, 0: none of its own
	bytes   disk.Bytes // what it left behind, 0: not asked
}

// result is what a row came to.
type result struct {
	row
	remark string // why there are no figures
	ours   []sample
	ratios []float64
	cpu    []float64 // ratios of processor time, which other work on the machine blurs less
}

// workshop is what rows are measured with.
type workshop struct {
	sealpart string
	full     bool
	pairs    int
}

// size returns the amount of data to work on: that of the table, or little.
func (w *workshop) size(full, quick disk.Bytes) disk.Bytes {
	if w.full {
		return full
	}
	return quick
}

// measure runs the pairs of a row.
func (w *workshop) measure(t *testing.T, r row, done *result) {
	if r.program != "" && !installed(r.program) {
		done.remark = r.program + " is not installed: tools/install.sh"
		testenv.Need(t, r.program)
	}
	done.remark = "not built yet"
	c := r.prepare(t, w)
	done.remark = "failed"
	for range w.pairs {
		ours := c.ours(t)
		done.ours = append(done.ours, ours)
		if c.peer != nil {
			done.compare(ours, c.peer(t))
		}
	}
	done.remark = ""
}

// compare notes the ratios of a pair.
func (r *result) compare(ours, peer sample) {
	r.ratios = append(r.ratios, peer.seconds/ours.seconds)
	if ours.cpu > 0 && peer.cpu > 0 {
		r.cpu = append(r.cpu, peer.cpu/ours.cpu)
	}
}

// median returns the middle of values, which must not be empty.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// seconds returns the median of ours.
func (r *result) seconds() float64 {
	var all []float64
	for _, s := range r.ours {
		all = append(all, s.seconds)
	}
	return median(all)
}

// worst returns the greatest value of field.
func (r *result) worst(field func(sample) disk.Bytes) disk.Bytes {
	var worst disk.Bytes
	for _, s := range r.ours {
		worst = max(worst, field(s))
	}
	return worst
}

func rssOf(s sample) disk.Bytes   { return s.rss }
func bytesOf(s sample) disk.Bytes { return s.bytes }

// missed says what of the goal was not reached.
func (r *result) missed() []string {
	var missed []string
	if r.goal.ratio > 0 && (len(r.ratios) == 0 || median(r.ratios) < r.goal.ratio) {
		missed = append(missed, "ratio")
	}
	if r.goal.seconds > 0 && r.seconds() > r.goal.seconds {
		missed = append(missed, "time")
	}
	if r.goal.bytes > 0 && r.worst(bytesOf) > r.goal.bytes {
		missed = append(missed, "size")
	}
	if limit := orElse(r.goal.rss, maxRSS); r.worst(rssOf) > limit {
		missed = append(missed, fmt.Sprintf("memory (%s)", limit))
	}
	return missed
}

func orElse(value, otherwise disk.Bytes) disk.Bytes {
	if value == 0 {
		return otherwise
	}
	return value
}
