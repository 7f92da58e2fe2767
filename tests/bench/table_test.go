package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// describe says where and when this is measured.
func describe(w io.Writer) {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown CPU"
	for line := range strings.Lines(string(cpu)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(w, "%s, %s, %d CPUs, %s, load %s\n", time.Now().UTC().Format(time.DateOnly), model, runtime.NumCPU(), runtime.Version(), strings.TrimSpace(string(load)))
	for _, peer := range [][]string{{"openssl", "version"}, {"cryptsetup", "--version"}, {"systemd-repart", "--version"}} {
		if out, err := exec.Command(programPath(peer[0]), peer[1:]...).Output(); err == nil {
			version, _, _ := strings.Cut(string(out), "\n")
			fmt.Fprintln(w, version)
		}
	}
	fmt.Fprintf(w, "the keys of our volumes: %s\n\n", ourKey().spoken)
}

// table writes all results as a table in Markdown.
func table(w io.Writer, results []result) {
	aligned := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(aligned, "\n| work\t| against\t| ours\t| ratio (least to greatest)\t| CPU ratio\t| peak RSS\t| to reach\t| reached\t|")
	fmt.Fprintln(aligned, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range results {
		fmt.Fprintf(aligned, "| %s\t|\n", strings.Join(r.cells(), "\t| "))
	}
	_ = aligned.Flush()
}

// line says a result as soon as it is there.
func (r *result) line() string { return strings.Join(r.cells(), " | ") }

// cells returns the columns of a result.
func (r *result) cells() []string {
	if r.remark != "" {
		return []string{r.work, r.against, r.remark, "-", "-", "-", r.goal.String(), "-"}
	}
	return []string{r.work, r.against, r.spokenOurs(), spokenRatio(r.ratios), spokenRatio(r.cpu), r.spokenRSS(), r.goal.String(), r.spokenReached()}
}

func (r *result) spokenOurs() string {
	if r.show == nil {
		return r.worst(bytesOf).String()
	}
	if left := r.worst(bytesOf); left > 0 {
		return fmt.Sprintf("%s, %s on disk", r.show(r.seconds()), left)
	}
	return r.show(r.seconds())
}

func spokenRatio(ratios []float64) string {
	if len(ratios) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

func (r *result) spokenRSS() string {
	if peak := r.worst(rssOf); peak > 0 {
		return peak.String()
	}
	return "-"
}

func (r *result) spokenReached() string {
	if missed := r.missed(); len(missed) > 0 {
		return "NO: " + strings.Join(missed, ", ")
	}
	return "yes"
}

// String says a goal.
func (g goal) String() string {
	var parts []string
	if g.ratio > 0 {
		parts = append(parts, fmt.Sprintf("%gx", g.ratio))
	}
	if g.seconds >= 1e-3 {
		parts = append(parts, "under "+inSeconds(g.seconds))
	} else if g.seconds > 0 {
		parts = append(parts, aSecond(g.seconds))
	}
	if g.bytes > 0 {
		parts = append(parts, "at most "+g.bytes.String())
	}
	if g.rss > 0 {
		parts = append(parts, "RSS under "+g.rss.String())
	}
	return strings.Join(parts, ", ")
}

// inSeconds shows a time.
func inSeconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

// aSecond shows how often something is done in a second.
func aSecond(s float64) string { return fmt.Sprintf("%.0f a second", 1/s) }

// aGigabyte shows the seconds that a gigabyte takes as a rate.
func aGigabyte(s float64) string { return fmt.Sprintf("%.2f GB/s", 1/s) }
