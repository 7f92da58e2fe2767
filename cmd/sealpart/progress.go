package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/herald"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// progress shows events: bars on a terminal, now and then a line where that is a
// console's log, lines of JSON for machines, or nothing. It passes them on to a herald.
type progress struct {
	mu     sync.Mutex
	notes  io.Writer // what must be said however progress is shown
	out    *json.Encoder
	bars   *mpb.Progress
	shown  map[int]*mpb.Bar // by partition number
	lines  bool
	herald *herald.Herald  // nil: none
	paces  map[int]*pace   // by partition number
	told   time.Time       // when the herald last said something
	lined  time.Time       // when a line was last written
	doubts map[string]bool // of headers, that were spoken: one is met at each step that reads the header
}

// newProgress returns the progress for a value of --progress.
func newProgress(mode string, w io.Writer) (*progress, error) {
	p := &progress{notes: w, shown: map[int]*mpb.Bar{}, paces: map[int]*pace{}, lines: mode == "lines"}
	switch {
	case mode == "json":
		p.out = jsonTo(w)
	case mode == "tty" || (mode == "auto" && isTerminal(w)):
		p.bars = mpb.New(mpb.WithOutput(screen(w)), mpb.WithAutoRefresh())
	case mode == "auto" || mode == "none" || mode == "lines":
	default:
		return nil, usageError{fmt.Errorf("--progress=%s: use auto, tty, lines, json or none", mode)}
	}
	return p, nil
}

// screen hides from mpb that w is a terminal of unknown size, such as a serial
// console: it would draw bars of no width there, instead of 80 columns.
func screen(w io.Writer) io.Writer {
	file, ok := w.(*os.File)
	if !ok {
		return w
	}
	if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		return w
	}
	return struct{ io.Writer }{w}
}

// isTerminal reports whether w is a terminal that a person looks at.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// event shows one event.
func (p *progress) event(e executor.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(e)
	switch {
	case e.Phase == executor.Left && p.out == nil:
		fmt.Fprintf(p.notes, "sealpart: note: partition %d is left as it is: %s\n", e.Partition, e.Step)
	case e.Phase == executor.Skipped && p.out == nil:
		fmt.Fprintf(p.notes, "sealpart: warning: partition %d goes without a key that is not here: %s\n", e.Partition, e.Step)
	case (e.Phase == executor.Distrusted || e.Phase == executor.Unchecked) && p.out == nil:
		p.doubt(fmt.Sprintf("partition %d: %s", e.Partition, printable(strings.ReplaceAll(e.Step, "\n", "; "))))
	case p.out != nil:
		_ = p.out.Encode(e) // nobody listens any more; the work goes on
	case p.bars != nil && e.Total > 0:
		p.bar(e).SetCurrent(int64(e.Done))
	}
}

// doubt warns of something in a header, once.
func (p *progress) doubt(text string) {
	if p.doubts[text] {
		return
	}
	if p.doubts == nil {
		p.doubts = map[string]bool{}
	}
	p.doubts[text] = true
	fmt.Fprintf(p.notes, "sealpart: warning: %s\n", text)
}

// warn says what somebody should do about a disk that there is nothing to do on.
func (p *progress) warn(notes []plan.Note) {
	for _, n := range notes {
		if n.Warning {
			fmt.Fprintf(p.notes, "sealpart: note: %s\n", spokenNote(n))
		}
	}
}

// bar returns the bar of the event's partition: bytes, rate and time left.
func (p *progress) bar(e executor.Event) *mpb.Bar {
	if bar, ok := p.shown[e.Partition]; ok {
		bar.SetTotal(int64(e.Total), false)
		return bar
	}
	name := e.Action + " "
	if e.Partition > 0 {
		name = fmt.Sprintf("%s partition %d ", e.Action, e.Partition)
	}
	bar := p.bars.AddBar(int64(e.Total),
		mpb.PrependDecorators(decor.Name(name), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f "), decor.AverageETA(decor.ET_STYLE_GO)))
	p.shown[e.Partition] = bar
	return bar
}

// finish leaves the bars on the screen as they are.
func (p *progress) finish() {
	if p.bars == nil {
		return
	}
	for _, bar := range p.shown {
		bar.Abort(false)
	}
	p.bars.Wait()
}
