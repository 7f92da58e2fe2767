package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sealpart/sealpart/internal/key/pkcs11"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sealpart": func() { exit(Main(untilSignal(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs what a user could type, in testdata/script. What the scripts use
// beside sealpart and a shell must be installed.
func TestScripts(t *testing.T) {
	for _, program := range []string{"sfdisk", "sgdisk", "mkfs.ext4", "mkfs.vfat", "fsck.vfat", "e2fsck", "debugfs", "cryptsetup", "veritysetup", "mcopy", "swtpm", "tpm2_unseal", "jq", "openssl", "softhsm2-util", "pkcs11-tool"} {
		testenv.Need(t, program)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", env.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("EXAMPLES", examples)
			env.Setenv("LC_ALL", "C")
			env.Setenv("TMPDIR", env.WorkDir)
			// Volumes on loop devices that have the same UUID would wait for each other's locks.
			env.Setenv("SEED", uuid.NewSHA1(uuid.NameSpaceURL, []byte(filepath.Base(env.WorkDir))).String())
			env.Values["t"], env.Values["tpm"] = t, new(scriptTPM)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "root":
				return os.Geteuid() == 0, nil
			case "pkcs11":
				return pkcs11.Built, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"tpm": startTPM, "loop": attachLoop, "same": same},
	})
}

// scriptTPM is the TPM of a script: where its state is, and what takes its power away.
type scriptTPM struct {
	state string
	cut   func()
}

// startTPM is the script command "tpm": it starts a software TPM and sets TPM to what
// --tpm2-device takes. "tpm blank" is one that nothing is measured into; "tpm cut" takes the
// power from the other, and gives it back.
func startTPM(ts *testscript.TestScript, _ bool, args []string) {
	t, tpm := ts.Value("t").(*testing.T), ts.Value("tpm").(*scriptTPM)
	var device string
	switch strings.Join(args, " ") {
	case "blank":
		device = testenv.StartBlankSWTPM(t)
	case "cut":
		tpm.cut()
		device, tpm.cut = testenv.StartSWTPMPersistent(t, tpm.state)
	default:
		tpm.state = t.TempDir()
		device, tpm.cut = testenv.StartSWTPMPersistent(t, tpm.state)
	}
	ts.Setenv("TPM", device)
	ts.Setenv("TPM2TOOLS_TCTI", device)
}

// attachLoop is the script command "loop": it runs losetup with its arguments, the
// last of which is an image, and sets LOOP to the device, which goes with the script.
func attachLoop(ts *testscript.TestScript, _ bool, args []string) {
	args[len(args)-1] = ts.MkAbs(args[len(args)-1])
	out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).Output()
	ts.Check(err)
	device := strings.TrimSpace(string(out))
	ts.Defer(func() { ts.Check(exec.Command("losetup", "-d", device).Run()) })
	ts.Setenv("LOOP", device)
}

// same is the script command "same": two files have the same bytes. Unlike "cmp" it neither
// has them in memory nor reads their holes: disks are large and mostly empty.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same FILE FILE")
	}
	var files [2]*os.File
	for i, name := range args {
		file, err := os.Open(ts.MkAbs(name))
		ts.Check(err)
		defer file.Close()
		files[i] = file
	}
	at, err := firstDifference(files[0], files[1])
	ts.Check(err)
	if at >= 0 {
		ts.Fatalf("%s and %s differ from byte %d on", args[0], args[1], at)
	}
}

// firstDifference returns the byte from which on two files differ, to a MiB or to the end of the
// shorter one, and -1 where they do not.
func firstDifference(a, b *os.File) (int64, error) {
	sizes, err := sizesOf(a, b)
	if err != nil {
		return 0, err
	}
	const step = 1 << 20
	left, right := make([]byte, step), make([]byte, step)
	for at := int64(0); ; at += step {
		if at, err = nextData(at, a, b); err != nil || at >= min(sizes[0], sizes[1]) {
			break
		}
		at = at / step * step
		n, errA := a.ReadAt(left, at)
		m, errB := b.ReadAt(right, at)
		if err := errors.Join(noEOF(errA), noEOF(errB)); err != nil {
			return 0, err
		}
		if !bytes.Equal(left[:n], right[:m]) {
			return at, nil
		}
	}
	if err == nil && sizes[0] != sizes[1] {
		return min(sizes[0], sizes[1]), nil
	}
	return -1, err
}

func sizesOf(files ...*os.File) (sizes []int64, err error) {
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, info.Size())
	}
	return sizes, nil
}

// nextData returns the first byte from at on that lies in no hole of all of the files.
func nextData(at int64, files ...*os.File) (int64, error) {
	next := int64(math.MaxInt64)
	for _, f := range files {
		data, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			continue // nothing but a hole up to the end
		}
		if err != nil {
			return 0, err
		}
		next = min(next, data)
	}
	return next, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestSame: the judge of so many scripts sees a byte that differs, wherever it is, and a file
// that is longer by a hole.
func TestSame(t *testing.T) {
	const size = 5<<20 + 17
	open := func(length int64, at ...int64) *os.File {
		file, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		if err := file.Truncate(length); err != nil {
			t.Fatal(err)
		}
		for _, byteAt := range at {
			if _, err := file.WriteAt([]byte{1}, byteAt); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	for name, c := range map[string]struct {
		a, b *os.File
		want int64
	}{
		"holes":            {open(size), open(size), -1},
		"equal":            {open(size, 3, 4<<20), open(size, 3, 4<<20), -1},
		"first":            {open(size, 0), open(size), 0},
		"in the second":    {open(size, 3), open(size, 3, 3<<20+5), 3 << 20},
		"last":             {open(size, size-1), open(size), 5 << 20},
		"longer by a hole": {open(size, 3), open(size+1, 3), size},
		"empty":            {open(0), open(size), 0},
	} {
		if got, err := firstDifference(c.a, c.b); err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, c.want)
		}
		if got, err := firstDifference(c.b, c.a); err != nil || got != c.want {
			t.Errorf("%s, the other way round: %d, %v, want %d", name, got, err, c.want)
		}
	}
}
