package luks2

import (
	"os/exec"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
)

// TestTheirHalfIsRead kills cryptsetup in the middle of a conversion, at whatever
// state that leaves, and finishes it.
func TestTheirHalfIsRead(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, round := range []uint64{0, 3} {
				if kind.slow && round == 0 {
					continue
				}
				j := kind.begin(t)
				kill(t, j, j.h.SequenceID+1+round)
				j.h = j.read()
				if r, err := j.h.Reencryption(j.size); err != nil {
					t.Fatal(err)
				} else if r != nil {
					t.Logf("%s with %d of %d to go, %d hot", r.State, r.Remaining, r.DataSize, r.HotLength)
				}
				j.finish()
				j.decrypts(j.newKey, j.plain)
				j.opens(passphrase)
			}
		})
	}
}

// kill lets cryptsetup resume the conversion until its header has a sequence id.
func kill(t *testing.T, j *job, until uint64) {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), "--batch-mode", "reencrypt", "--resume-only", "--force-offline-reencrypt",
		"--hotzone-size", "64k", "--key-file", j.key(passphrase), j.Name())
	check(t, cmd.Start())
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		h, err := j.image.reread()
		if err == nil && (h.SequenceID >= until || h.meta.config.pending() == "") {
			break
		}
	}
	_ = cmd.Process.Kill() // it may be done
	_ = cmd.Wait()
}

// reread reads the header while somebody may be writing it.
func (i image) reread() (*Header, error) { return Read(i, i.size) }
