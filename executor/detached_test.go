package executor

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// detachedRun is one run on a disk that is one partition.
func detachedRun(t testing.TB, dev *simdev.Device, path string) error {
	t.Helper()
	content, err := probe.Content(dev, dev.Size())
	if err != nil {
		return err
	}
	a := plan.Reencrypt{
		Number: 1, Mode: plan.ModeEncrypt, Room: plan.RoomDetached, HeaderPath: path,
		Extent: disk.Extent{Size: dev.Size()}, DataSize: dev.Size(), Filesystem: content.Kind,
		Resume: content.Kind == "", Encryption: stubEncryption(0, 512),
	}
	x := newRun(testEnv(t), simTarget{dev, false}, &plan.Plan{Actions: []plan.Action{a}}, disk.Snapshot{})
	defer x.wipe()
	if err := x.keys(context.Background()); err != nil {
		return err
	}
	return x.convertAll(context.Background())
}

// checkDetached lets cryptsetup open the header, and compares the data.
func checkDetached(t testing.TB, dev *simdev.Device, path string, plain []byte) {
	t.Helper()
	data := dev.Bytes()
	tool(t, "cryptsetup", "open", "--test-passphrase", "--header", path, "--key-file", fileOf(t, []byte(passphrase)), fileOf(t, data))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	header, err := luks2.Read(file, int64(minHeaderFile))
	if err != nil {
		t.Fatal(err)
	}
	if state, err := header.Reencryption(int64(dev.Size())); err != nil || state != nil {
		t.Errorf("left in conversion: %+v, %v", state, err)
	}
	key, err := Unlock(context.Background(), testEnv(t), header, file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newEncrypter(header.Segments()[0], key)
	if err != nil {
		t.Fatal(err)
	}
	c.decrypt(data, data, 0)
	if !bytes.Equal(data, plain) {
		t.Error("the content differs")
	}
}

// fileOf writes a file and returns its path.
func fileOf(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDetachedHeader(t *testing.T) {
	plain := extImage(t, 3*disk.MiB)
	path := filepath.Join(t.TempDir(), "header")
	dev := simdev.New(plain)
	if err := detachedRun(t, dev, path); err != nil {
		t.Fatal(err)
	}
	checkDetached(t, dev, path, plain)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != int64(minHeaderFile) {
		t.Errorf("the header file has the mode %s and %d bytes", info.Mode(), info.Size())
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("beside the header file there is something left: %v", names)
	}
}

// TestDetachedAgain stops before the first hot zone, in it and at the end.
func TestDetachedAgain(t *testing.T) {
	plain := extImage(t, 3*disk.MiB)
	whole := simdev.New(plain)
	if err := detachedRun(t, whole, filepath.Join(t.TempDir(), "header")); err != nil {
		t.Fatal(err)
	}
	for n := range whole.Log() {
		if n%4 != 0 && *crashStates != 0 && n != len(whole.Log())-1 {
			continue
		}
		path := filepath.Join(t.TempDir(), "header")
		dev := simdev.New(plain).FailAt(n, unix.EIO, true)
		if err := detachedRun(t, dev, path); !errors.Is(err, unix.EIO) {
			t.Fatalf("operation %d fails: %v", n, err)
		}
		again := simdev.New(dev.Bytes())
		if err := detachedRun(t, again, path); err != nil {
			t.Fatalf("after the failure of operation %d: %v", n, err)
		}
		checkDetached(t, again, path, plain)
	}
}

// TestDetachedLeavesFilesAlone: a file that is there already is never overwritten,
// and the partition stays as it is.
func TestDetachedLeavesFilesAlone(t *testing.T) {
	plain := extImage(t, 3*disk.MiB)
	done := filepath.Join(t.TempDir(), "header")
	if err := detachedRun(t, simdev.New(plain), done); err != nil {
		t.Fatal(err)
	}
	finished, err := os.ReadFile(done)
	if err != nil {
		t.Fatal(err)
	}
	for text, content := range map[string][]byte{
		"it is in the way":                  []byte("something of the user's\n"),
		"the partition holds a plain file":  finished,
		"it is in the way: no LUKS2 header": nil,
	} {
		path := filepath.Join(t.TempDir(), "header")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		dev := simdev.New(plain)
		if err := detachedRun(t, dev, path); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, not %q", err, text)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
			t.Errorf("the file has changed: %v", err)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%d operations on the partition", n)
		}
	}
}

// TestDetachedIsNeverForgotten: whoever looks at a header file knows only the size of the
// disk. In each state of a conversion, with its last zone hot too, it is seen that one is pending.
func TestDetachedIsNeverForgotten(t *testing.T) {
	for _, m := range modes {
		if !m.detached {
			continue
		}
		whole := m.newWorld(t)
		if err := whole.run(t); err != nil {
			t.Fatal(err)
		}
		pending := 0
		for k := range *whole.order {
			cut := whole.crashAfter(k, rand.New(rand.NewPCG(1, uint64(k))))
			state := cut.pending(t)
			if state == nil {
				continue
			}
			pending++
			content, err := probe.Header(cut.home, cut.home.Size(), 10*cut.part.Size())
			if err != nil || content.LUKS == nil || content.LUKS.Reencryption == nil {
				t.Errorf("%s: after operation %d, %d of %d bytes to go, %d hot: seen as %+v, %v", m.name, k, state.Remaining, state.DataSize, state.HotLength, content, err)
			}
		}
		if pending == 0 {
			t.Errorf("%s: no state in which it is pending", m.name)
		}
	}
}
