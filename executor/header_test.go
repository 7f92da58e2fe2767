package executor

import (
	"bytes"
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
)

// luksVolume is a volume made by cryptsetup in a file, and its passphrases by keyslot.
type luksVolume struct {
	t    testing.TB
	path string
}

func newLUKSVolume(t testing.TB, args ...string) luksVolume {
	t.Helper()
	v := luksVolume{t, filepath.Join(t.TempDir(), "volume")}
	if err := os.WriteFile(v.path, make([]byte, 4*disk.MiB), 0o600); err != nil {
		t.Fatal(err)
	}
	v.run(append([]string{"luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--luks2-keyslots-size", "2032k", "--offset", "4096", v.path, v.key("first")}, args...)...)
	v.add("second")
	return v
}

func (v luksVolume) key(passphrase string) string {
	v.t.Helper()
	path := filepath.Join(v.t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(passphrase), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

func (v luksVolume) add(passphrase string) {
	v.t.Helper()
	v.run("luksAddKey", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", v.key("first"), v.path, v.key(passphrase))
}

func (v luksVolume) try(args ...string) (string, error) {
	out, err := exec.Command(testenv.Need(v.t, "cryptsetup"), append([]string{"--batch-mode"}, args...)...).CombinedOutput()
	return string(out), err
}

func (v luksVolume) run(args ...string) {
	v.t.Helper()
	if out, err := v.try(args...); err != nil {
		v.t.Fatalf("cryptsetup %v: %v\n%s", args, err, out)
	}
}

// opens asks cryptsetup.
func (v luksVolume) opens(passphrase string) bool {
	_, err := v.try("open", "--test-passphrase", "--key-file", v.key(passphrase), v.path)
	return err == nil
}

func (v luksVolume) bytes() []byte {
	v.t.Helper()
	image, err := os.ReadFile(v.path)
	if err != nil {
		v.t.Fatal(err)
	}
	return image
}

func (v luksVolume) backup() []byte {
	v.t.Helper()
	var backup bytes.Buffer
	if err := BackupHeader(context.Background(), simdev.New(v.bytes()), &backup); err != nil {
		v.t.Fatal(err)
	}
	return backup.Bytes()
}

func restoreOn(dev blockdev.Device, backup []byte, force bool) error {
	_, err := RestoreHeader(context.Background(), Env{Random: rand.Reader}, dev, bytes.NewReader(backup), int64(len(backup)), force)
	return err
}

// TestCrashDuringRestore cuts the power after every operation of a restore. Every
// keyslot listed afterwards must open, "first" among them; restored again, what the
// backup has opens, and what came after it does not. cryptsetup looks at some.
func TestCrashDuringRestore(t *testing.T) {
	t.Parallel()
	v := newLUKSVolume(t)
	backup := v.backup()
	v.run("luksKillSlot", "--key-file", v.key("first"), v.path, "1")
	v.add("third") // in the place of the second
	whole := simdev.New(v.bytes())
	if err := restoreOn(whole, backup, true); err != nil {
		t.Fatal(err)
	}
	log := whole.Log()
	for k := range len(log) + 1 {
		for variant := range uint64(3) {
			cut := whole.CrashAfter(k, mathrand.New(mathrand.NewPCG(uint64(k), variant)))
			opensOne(t, cut, []string{"second", "third"}, k)
			if err := restoreOn(cut, backup, true); err != nil {
				t.Fatalf("after operation %d: %v", k, err)
			}
			opensOne(t, cut, []string{"second"}, k)
			if k%5 > 0 || variant > 0 {
				continue
			}
			if err := os.WriteFile(v.path, cut.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if !v.opens("first") || !v.opens("second") || v.opens("third") {
				t.Errorf("after operation %d, restored again: cryptsetup opens other keyslots than those of the backup", k)
			}
		}
	}
	t.Logf("%d operations", len(log))
}

// opensOne demands that "first" opens keyslot 0 and one of the others keyslot 1.
func opensOne(t *testing.T, dev blockdev.Device, others []string, k int) {
	t.Helper()
	h, err := luks2.Read(dev, int64(dev.Size()))
	if err != nil {
		t.Fatalf("after operation %d: %v", k, err)
	}
	if len(h.Keyslots()) != 2 {
		t.Errorf("after operation %d: %d keyslots", k, len(h.Keyslots()))
	}
	if _, err := h.OpenKeyslot(t.Context(), dev, 0, []byte("first")); err != nil {
		t.Errorf("after operation %d: %v", k, err)
	}
	for _, other := range others {
		if _, err = h.OpenKeyslot(t.Context(), dev, 1, []byte(other)); err == nil {
			return
		}
	}
	t.Errorf("after operation %d: keyslot 1 opens with none of %v: %v", k, others, err)
}

// What must not be restored is refused, and nothing is written.
func TestRestoreRefuses(t *testing.T) {
	v := newLUKSVolume(t)
	backup, now := v.backup(), v.bytes()
	uuid := readHeader(t, now).UUID
	damaged, gone := bytes.Clone(backup), bytes.Clone(now)
	damaged[16384+5000]++
	clear(gone[:disk.MiB])
	pending := newLUKSVolume(t)
	pending.run("luksKillSlot", "--key-file", pending.key("first"), pending.path, "1")
	pending.run("reencrypt", "--init-only", "--key-file", pending.key("first"), "--resilience", "checksum", pending.path)
	var none bytes.Buffer
	for name, c := range map[string]struct {
		now, backup []byte
		want        string
	}{
		"another volume":       {now, newLUKSVolume(t).backup(), "it is of the volume"},
		"another volume key":   {now, newLUKSVolume(t, "--uuid", uuid).backup(), "another volume key"},
		"another sector size":  {now, newLUKSVolume(t, "--uuid", uuid, "--sector-size", "1024").backup(), "its data is"},
		"one copy damaged":     {now, damaged, "one copy of the header in it is not good"},
		"cut short":            {now, backup[:len(backup)-4096], "the backup"},
		"no backup":            {now, make([]byte, disk.MiB), "no LUKS2 header"},
		"conversion on disk":   {pending.bytes(), backup, "not finished"},
		"conversion in backup": {now, pending.bytes(), "not finished"},
		"no header, no force":  {gone, backup, "cannot be told"},
	} {
		dev := simdev.New(c.now)
		if err := restoreOn(dev, c.backup, name != "no header, no force"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(dev.Log()) > 0 {
			t.Errorf("%s: something was written", name)
		}
	}
	if err := BackupHeader(context.Background(), simdev.New(pending.bytes()), &none); err == nil || err.Error() != "back up the header: a conversion of the volume was not finished" || none.Len() > 0 {
		t.Errorf("a backup in the middle of a conversion: %v", err)
	}
	dev := simdev.New(gone)
	if err := restoreOn(dev, backup, true); err != nil {
		t.Fatalf("forced: %v", err)
	}
	opensOne(t, dev, []string{"second"}, 0)
}

func readHeader(t *testing.T, image []byte) *luks2.Header {
	t.Helper()
	h, err := luks2.Read(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
