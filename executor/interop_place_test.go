package executor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
)

// pending returns the conversion that is pending, nil for none.
func (w *world) pending(t testing.TB) *luks2.Reencryption {
	t.Helper()
	header, err := luks2.Read(w.home, int64(w.home.Size()))
	if err != nil {
		return nil
	}
	state, err := header.Reencryption(int64(w.part.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// files are a world on files, for foreign tools.
type files struct{ part, home string }

// files writes the world to files.
func (w *world) files(t testing.TB) files {
	f := files{part: fileOf(t, w.part.Bytes())}
	if f.home = f.part; w.detached {
		f.home = fileOf(t, w.home.Bytes())
	}
	return f
}

// load makes the world what foreign tools made of the files.
func (w *world) load(t testing.TB, f files) {
	t.Helper()
	w.part = simdev.New(readFileOf(t, f.part))
	if w.home = w.part; w.detached {
		w.home = simdev.New(readFileOf(t, f.home))
	}
}

func readFileOf(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// args are those of a cryptsetup that works on the files.
func (f files) args(action, key string, more ...string) []string {
	args := append([]string{"--batch-mode", action, "--key-file", key}, more...)
	if f.home != f.part {
		args = append(args, "--header", f.home)
	}
	return append(args, f.part)
}

// TestCryptsetupFinishesOurs cuts our conversions in the middle of hot zones and
// between them; cryptsetup repairs, resumes, and has every byte.
func TestCryptsetupFinishesOurs(t *testing.T) {
	t.Parallel()
	for i, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			whole := m.newWorld(t)
			if err := whole.run(t); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(seedOfCrashes(), uint64(i)))
			var seen []luks2.State
			for _, k := range spread(numbers(len(*whole.order)-10), 5, rng) {
				cut := whole.crashAfter(k+10, rng)
				state := cut.pending(t)
				if state == nil || (m.resilience == "checksum" && *crashStates != 0 && len(seen) > 0) {
					continue // to resume with checksums cryptsetup measures a KDF, which takes seconds
				}
				seen = append(seen, state.State)
				cut.theyFinish(t)
				cut.checkData(t, passphrase, fmt.Sprintf("cut after operation %d (%s)", k+10, state.State))
			}
			if len(seen) == 0 {
				t.Error("no cut left a conversion pending")
			}
		})
	}
}

// numbers returns 0 to n-1.
func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// theyFinish lets cryptsetup repair the volume and convert what is left.
func (w *world) theyFinish(t testing.TB) {
	t.Helper()
	f, key := w.files(t), fileOf(t, []byte(passphrase))
	tool(t, "cryptsetup", f.args("repair", key)...)
	if w.load(t, f); w.pending(t) != nil {
		tool(t, "cryptsetup", f.args("reencrypt", key, "--resume-only", "--force-offline-reencrypt")...)
	}
	w.load(t, f)
}

// theirs are conversions as cryptsetup begins them.
var theirs = []struct {
	mode
	args []string
	slow bool // cryptsetup measures a KDF before it resumes
}{
	{mode{name: "rekey, journal", sector: 4096, rekey: true}, []string{"--resilience", "journal"}, false},
	{mode{name: "rekey, checksum", sector: 512, rekey: true}, []string{"--resilience", "checksum"}, true},
	{mode{name: "detached, journal", sector: 4096, detached: true}, []string{"--encrypt", "--resilience", "journal", "--sector-size", "4096"}, false},
	{mode{name: "detached, checksum", sector: 512, detached: true}, []string{"--encrypt", "--resilience", "checksum", "--sector-size", "512"}, true},
	{mode{name: "rekey, none", sector: 512, rekey: true}, []string{"--resilience", "none"}, false},
	{mode{name: "detached, none", sector: 512, detached: true}, []string{"--encrypt", "--resilience", "none", "--sector-size", "512"}, false},
}

// cheap keeps cryptsetup from measuring.
var cheap = []string{"--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}

// TestWeFinishCryptsetups lets cryptsetup begin a conversion, kills it somewhere, and
// finishes it.
func TestWeFinishCryptsetups(t *testing.T) {
	t.Parallel()
	for _, m := range theirs {
		for _, zones := range []uint64{0, 1, 4} {
			if zones > 0 && strings.HasSuffix(m.name, "none") {
				continue // killed in the middle, it would be lost
			}
			if m.slow && zones < 4 && *crashStates != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, after %d headers", m.name, zones), func(t *testing.T) {
				w := m.newWorld(t)
				w.theyBegin(t, m.args, zones)
				state := w.pending(t)
				if state == nil {
					t.Skip("cryptsetup was faster")
				}
				t.Logf("%s, %d of %d to go, %d hot", state.State, state.Remaining, state.DataSize, state.HotLength)
				c := w.conversion(t)
				c.action.ExistingKey = "file:/vendor"
				if err := c.resume(context.Background()); err != nil {
					t.Fatal(err)
				}
				w.checkData(t, vendorPassphrase, "finished by us")
			})
		}
	}
}

// TestUnprotectedAndLost: where cryptsetup converts without any protection and is killed, the
// header says that nothing is done. Going on would encrypt twice what is, so that is refused,
// and nothing is written.
func TestUnprotectedAndLost(t *testing.T) {
	for _, m := range theirs {
		if !strings.HasSuffix(m.name, "none") {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			w := m.newWorld(t)
			w.theyBegin(t, m.args, 0)
			w.lose(t)
			if state := w.pending(t); state == nil || state.Remaining != state.DataSize || state.State != luks2.Clean {
				t.Fatalf("not as if nothing was done: %+v", state)
			}
			c := w.conversion(t)
			c.action.ExistingKey = "file:/vendor"
			err := c.resume(t.Context())
			want := "how far it is nobody wrote down: its first bytes, swap, are under the new key already"
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if n := len(w.part.Log()) + len(w.home.Log()); n > 0 {
				t.Errorf("%d operations on the disk", n)
			}
		})
	}
}

// lose makes what cryptsetup leaves when it is killed in the middle: the header as it was
// before, and of the data a part as it is at the end.
func (w *world) lose(t testing.TB) {
	t.Helper()
	f, key := w.files(t), fileOf(t, []byte(vendorPassphrase))
	tool(t, "cryptsetup", f.args("reencrypt", key, "--resume-only", "--force-offline-reencrypt")...)
	lost, at := w.part.Bytes(), w.dataOffset()
	copy(lost[at:at+placeData/2], readFileOf(t, f.part)[at:])
	w.part = simdev.New(lost)
	if !w.detached {
		w.home = w.part
	}
}

// theyBegin lets cryptsetup begin, write some headers more, and kills it.
func (w *world) theyBegin(t testing.TB, args []string, headers uint64) {
	t.Helper()
	f, key := w.files(t), fileOf(t, []byte(vendorPassphrase))
	if w.detached {
		f.home = fileOf(t, nil)
		if err := os.Remove(f.home); err != nil {
			t.Fatal(err)
		}
	}
	begin := append(append([]string{"--init-only"}, args...), cheap...)
	tool(t, "cryptsetup", f.args("reencrypt", key, begin...)...)
	w.load(t, f)
	if headers > 0 {
		w.kill(t, f, key, headers)
	}
	w.load(t, f)
}

// kill lets cryptsetup resume until its header was written some times more.
func (w *world) kill(t testing.TB, f files, key string, headers uint64) {
	t.Helper()
	before, err := luks2.Read(w.home, int64(w.home.Size()))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), f.args("reencrypt", key, "--resume-only", "--force-offline-reencrypt", "--hotzone-size", "64k")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		now, err := readHeaderFile(f.home)
		if err == nil && (now.SequenceID > before.SequenceID+headers || len(now.Requirements()) == 0) {
			break
		}
	}
	_ = cmd.Process.Kill() // it may be done
	_ = cmd.Wait()
}

// readHeaderFile reads a header that somebody may be writing.
func readHeaderFile(path string) (*luks2.Header, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return luks2.Read(file, info.Size())
}

// TestTrapIsFinished makes the state that cryptsetup leaves when it dies between its
// last zone and the finished header, and that it would resume by converting all of
// it a second time. We finish the header and touch no data.
func TestTrapIsFinished(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			whole := m.newWorld(t)
			if err := whole.run(t); err != nil {
				t.Fatal(err)
			}
			w := whole.allWritten(t)
			w.spring(t)
			if state := w.pending(t); state == nil || state.State != luks2.Unfinished {
				t.Fatalf("the trap is %+v", state)
			}
			before := w.part.Bytes()[w.dataOffset():]
			if err := w.run(t); err != nil {
				t.Fatal(err)
			}
			w.check(t, "finished")
			if !bytes.Equal(before, w.part.Bytes()[w.dataOffset():]) {
				t.Error("data was written")
			}
		})
	}
}

// allWritten returns the state in which the last zone is hot, and written.
func (w *world) allWritten(t testing.TB) *world {
	t.Helper()
	for k := len(*w.order); k > 0; k-- {
		cut := w.stoppedAfter(k)
		header, err := luks2.Read(cut.home, int64(cut.home.Size()))
		if err != nil || header.Recovered() != "" {
			continue // in the middle of the next header
		}
		if state := cut.pending(t); state != nil && state.State == luks2.Crash && state.Remaining == 0 {
			return cut
		}
	}
	t.Fatal("the last zone was never hot")
	return nil
}

// spring writes the header that follows the last hot one in cryptsetup.
func (w *world) spring(t testing.TB) {
	t.Helper()
	for _, at := range []int64{0, 16384} {
		image := make([]byte, 16384)
		if _, err := w.home.ReadAt(image, at); err != nil {
			t.Fatal(err)
		}
		text, _, _ := bytes.Cut(image[4096:], []byte{0})
		changed := trap(t, text)
		clear(image[4096:])
		copy(image[4096:], changed)
		clear(image[luks2.ChecksumOffset:luks2.ChecksumEnd])
		sum := sha256.Sum256(image)
		copy(image[luks2.ChecksumOffset:], sum[:])
		if _, err := w.home.WriteAt(image, at); err != nil {
			t.Fatal(err)
		}
	}
}

// trap returns the metadata with one segment, all in its new form, and the backup
// segments still there.
func trap(t testing.TB, text []byte) []byte {
	t.Helper()
	var metadata map[string]any
	if err := json.Unmarshal(text, &metadata); err != nil {
		t.Fatal(err)
	}
	segments := metadata["segments"].(map[string]any)
	renumbered := map[string]any{}
	ids := map[string][]string{}
	for id, segment := range segments {
		switch flags := fmt.Sprint(segment.(map[string]any)["flags"]); {
		case strings.Contains(flags, luks2.BackupPrevious):
			renumbered["1"], ids[id] = segment, []string{"1"}
		case strings.Contains(flags, luks2.BackupFinal):
			all := maps.Clone(segment.(map[string]any))
			delete(all, "flags")
			renumbered["0"], renumbered["2"], ids[id] = all, segment, []string{"0", "2"}
		}
	}
	metadata["segments"] = renumbered
	for _, d := range metadata["digests"].(map[string]any) {
		listed := []string{}
		for _, id := range d.(map[string]any)["segments"].([]any) {
			listed = append(listed, ids[id.(string)]...)
		}
		d.(map[string]any)["segments"] = listed
	}
	changed, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
