package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// programPath returns where a program is, or its name.
func programPath(name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return name
}

func installed(name string) bool {
	_, err := exec.LookPath(programPath(name))
	return err == nil
}

// run runs a program to its end and measures it; it must succeed.
//
// The kernel counts into the peak memory of a child that of its parent until the
// exec, so this test first becomes as small as it can: some 10 MiB, under which
// nothing can be seen.
func run(t testing.TB, program string, args ...string) (sample, string) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	cmd := exec.Command(testenv.Need(t, program), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	shrink(t)
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &diagnostics)
	}
	done := cmd.ProcessState
	return sample{
		seconds: took.Seconds(), cpu: (done.UserTime() + done.SystemTime()).Seconds(),
		rss: disk.Bytes(done.SysUsage().(*syscall.Rusage).Maxrss) * disk.KiB,
	}, out.String()
}

// shrink gives memory back and forgets how much it once was (proc(5), clear_refs).
func shrink(t testing.TB) {
	t.Helper()
	debug.FreeOSMemory()
	check(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
}

// often runs a short program several times and returns the medians of its times and
// the worst of its memory.
func often(t testing.TB, program string, args ...string) sample {
	t.Helper()
	var seconds, cpu []float64
	var worst sample
	for range 7 {
		s, _ := run(t, program, args...)
		seconds, cpu = append(seconds, s.seconds), append(cpu, s.cpu)
		worst.rss = max(worst.rss, s.rss)
	}
	worst.seconds, worst.cpu = median(seconds), median(cpu)
	return worst
}

// actions returns the actions planned for image by the definitions in dir, and skips
// the test where there are none: what is accepted and not done is not measured.
func (w *workshop) actions(t testing.TB, dir, image string) string {
	t.Helper()
	cmd := exec.Command(w.sealpart, "plan", "--json", "--seed", uuid.Max.String(), "--definitions", dir, image)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && bytes.Contains(failed.Stderr, []byte("not built yet")) {
		t.Skipf("%s", failed.Stderr)
	}
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	var plan struct{ Actions json.RawMessage }
	check(t, json.Unmarshal(out, &plan))
	if string(plan.Actions) == "[]" {
		t.Skip("nothing is planned")
	}
	return string(plan.Actions)
}
