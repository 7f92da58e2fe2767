package rig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// Seed makes the UUIDs of all tests repeatable.
const Seed = "750b6cd5-c4ae-4012-a15e-7be3c29e6a47"

// Main builds the program, with build tags if there are any, runs the tests of a package and
// removes it again. A TestMain calls it.
func Main(m *testing.M, buildTags ...string) {
	tags = strings.Join(buildTags, ",")
	dir, err := os.MkdirTemp("", "sealpart-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "sealpart")
	code := 1
	if err := build(program, "CGO_ENABLED=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the program.
func build(path string, cgo string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-tags", tags, "-o", path, "github.com/sealpart/sealpart/cmd/sealpart")
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// program is what Main built, and tags are those of its build.
var program, tags string

// withModules builds, once, a program that can load PKCS#11 modules, beside the other.
var withModules = sync.OnceValue(func() error { return build(program+"-cgo", "CGO_ENABLED=1") })

// WithModules is Sealpart of a program that can load PKCS#11 modules.
func WithModules(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	if err := withModules(); err != nil {
		t.Fatal(err)
	}
	cmd := Sealpart(t, args...)
	cmd.Path += "-cgo"
	return cmd
}

// Sealpart returns the program with the given arguments, ready to run. Its file
// systems in the making go to the test's own directory.
func Sealpart(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+t.TempDir())
	return cmd
}

// Run runs a foreign tool, which must succeed, and returns what it says.
func Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	return RunIn(t, "", program, args...)
}

// RunIn is Run with something to read on standard input.
func RunIn(t testing.TB, input, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, program), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, complaints.Bytes())
	}
	return string(out)
}

// Must runs our program, which must succeed, and returns what it says.
func Must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Sealpart(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sealpart %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// File writes a file into dir and returns its path.
func File(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Copy copies a file, holes left out, and returns the copy's path.
func Copy(t testing.TB, from, to string) string {
	t.Helper()
	Run(t, "cp", "--sparse=always", "--reflink=auto", from, to)
	return to
}

// Partition is one partition as sfdisk sees it.
type Partition struct {
	Name  string `json:"name"`
	UUID  string `json:"uuid"`
	Start int64  `json:"start"` // both in sectors of 512 bytes
	Size  int64  `json:"size"`
}

// Extract writes the partition of the given name to a file of its own.
func Extract(t testing.TB, image, name, to string) string {
	t.Helper()
	p := Find(t, image, name)
	Run(t, "dd", "if="+image, "of="+to, "bs=1M", "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none",
		fmt.Sprintf("skip=%d", p.Start*512), fmt.Sprintf("count=%d", p.Size*512))
	if err := os.Truncate(to, p.Size*512); err != nil { // dd leaves out a hole at the end
		t.Fatal(err)
	}
	return to
}

// Find returns the partition of the given name.
func Find(t testing.TB, image, name string) Partition {
	t.Helper()
	var said struct {
		Table struct {
			Partitions []Partition `json:"partitions"`
		} `json:"partitiontable"`
	}
	if err := json.Unmarshal([]byte(Run(t, "sfdisk", "-J", image)), &said); err != nil {
		t.Fatal(err)
	}
	for _, p := range said.Table.Partitions {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("%s has no partition %q", image, name)
	return Partition{}
}
