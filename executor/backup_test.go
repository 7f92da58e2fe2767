package executor

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
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

// TestBackupReplacesBackupsAlone: a header_backup that names anything but an earlier backup, such
// as a node or a disk, is refused by plan and by apply, with nothing written; an earlier one gives way.
func TestBackupReplacesBackupsAlone(t *testing.T) {
	t.Parallel()
	c := backedUp(t)["convert"]
	earlier := &bytes.Buffer{}
	old := vendorVolume(t)
	h, err := luks2.Read(bytes.NewReader(old), int64(len(old)))
	if err = errors.Join(err, h.Backup(bytes.NewReader(old), earlier)); err != nil {
		t.Fatal(err)
	}
	const regular, header = " is there, and is no regular file", " is there, and is no backup of a LUKS2 header"
	for name, test := range map[string]struct {
		put  func(path string) error
		want string
	}{
		"nothing":       {func(string) error { return nil }, ""},
		"an empty file": {func(path string) error { return os.WriteFile(path, nil, 0o600) }, ""},
		"an earlier":    {func(path string) error { return os.WriteFile(path, earlier.Bytes(), 0o600) }, ""},
		"a text":        {func(path string) error { return os.WriteFile(path, []byte("somebody's"), 0o600) }, header},
		"a disk":        {func(path string) error { return os.WriteFile(path, c.image, 0o600) }, header},
		"a volume":      {func(path string) error { return os.WriteFile(path, old, 0o600) }, header},
		"a node":        {func(path string) error { return unix.Mkfifo(path, 0o600) }, regular},
		"a folder":      {func(path string) error { return os.Mkdir(path, 0o700) }, regular},
		"a link":        {func(path string) error { return os.Symlink("nowhere", path) }, regular},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "header")
			if err := test.put(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			files := maps.Clone(c.files)
			for file, text := range files {
				files[file] = strings.Replace(text, "encryption = {", `encryption = { header_backup = "`+path+`",`, 1)
			}
			dev := simdev.New(c.image)
			err := applyTo(t, dev, files, tokenless{})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkBackup(t, dev, path)
				return
			}
			var hinted interface{ Hint() string }
			if err == nil || !strings.HasSuffix(err.Error(), "header_backup: "+path+test.want) || !errors.As(err, &hinted) {
				t.Errorf("%v", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || len(dev.Log()) > 0 {
				t.Errorf("it is another file: %v, or the disk has %d operations", err, len(dev.Log()))
			}
		})
	}
}
