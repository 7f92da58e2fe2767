package executor

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/luks2"
	"golang.org/x/sys/unix"
)

// backedUp are definitions that ask for a copy of the header in a file, with the disk
// that they meet.
func backedUp(t *testing.T) map[string]struct {
	files map[string]string
	image []byte
} {
	data := extImage(t, gapData.Size)
	created := map[string]string{"10-new": `partition = { type = "srv", size_min = "64M", size_max = "64M" }
encryption = { key = [{ type = "file" }] }`}
	return map[string]struct {
		files map[string]string
		image []byte
	}{
		"enroll":  {enrollDefinition, gapImage(t, vendorVolume(t))},
		"convert": {gapDefinition, gapImage(t, data)},
		"create":  {created, partitioned(t, make([]byte, 66*disk.MiB), "label: gpt\n")},
	}
}

// TestBackupIsNotMissed lets the disk vanish at each of the last operations, among which
// is the one that makes the header the volume's. When no run has anything left to do,
// the copy of the header is there, and it is of the volume.
func TestBackupIsNotMissed(t *testing.T) {
	t.Parallel()
	for name, c := range backedUp(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "header")
			files := maps.Clone(c.files)
			for file, text := range files {
				files[file] = strings.Replace(text, "encryption = {", `encryption = { header_backup = "`+path+`",`, 1)
			}
			whole := simdev.New(c.image)
			if err := applyTo(t, whole, files, tokenless{}); err != nil {
				t.Fatal(err)
			}
			checkBackup(t, whole, path)
			for n := max(0, len(whole.Log())-16); n < len(whole.Log()); n++ {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				cut := simdev.New(c.image).FailAt(n, unix.EIO, false)
				if err := applyTo(t, cut, files, tokenless{}); !errors.Is(err, unix.EIO) {
					t.Errorf("of a disk that vanished: %v", err)
				}
				again := cut.CrashAfter(len(cut.Log()), nil)
				if err := applyTo(t, again, files, tokenless{}); err != nil {
					t.Fatal(err)
				}
				checkBackup(t, again, path)
				if t.Failed() {
					t.Fatalf("operation %d of %d", n, len(whole.Log()))
				}
			}
		})
	}
}

// checkBackup demands a backup that could be restored, and that opens by its keyslots.
func checkBackup(t *testing.T, dev *simdev.Device, path string) {
	t.Helper()
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range snapshot.Partitions {
		if p.Content.LUKS == nil {
			continue
		}
		volume := read(t, dev, p.Extent)
		header, err := luks2.Read(bytes.NewReader(volume), int64(len(volume)))
		if err != nil {
			t.Fatal(err)
		}
		backup, err := readBackup(bytes.NewReader(copied), int64(len(copied)))
		if err != nil {
			t.Errorf("the backup: %v", err)
			return
		}
		if err := restorable(backup, header); err != nil {
			t.Error(err)
		}
		copy(volume, copied)
		if !opensBy(t, volume, passphrase) {
			t.Error("the keys do not open the backup")
		}
		return
	}
	t.Error("there is no volume")
}
