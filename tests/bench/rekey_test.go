package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

const rekeyDefinition = `
[partition]
type = "root"
weight = 0

[encryption]
existing = "rekey"
existing_key = "file:%s"
`

// luksHeader is the room before the data of the volumes that are rekeyed.
const luksHeader = 16 * disk.MiB

// rekeyRow gives a volume of 2 GiB a new key, with checksums for resilience.
var rekeyRow = row{
	name: "rekey-tmpfs", work: "rekey 2 GiB on tmpfs, zones journalled", against: "cryptsetup reencrypt, checksum resilience",
	program: "cryptsetup", goal: goal{ratio: 4}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		size := w.size(2*disk.GiB, 48*disk.MiB)
		dir, vendor := memory.dir(t, 3*size), keyFile(t)
		header := luksFormat(t, dir, vendor, size)
		return contest{ours: w.rekey(t, dir, header, vendor, size), peer: cryptsetupRekey(t, dir, header, vendor, size)}
	},
}

// luksFormat returns a header of cryptsetup for a volume of size bytes.
func luksFormat(t testing.TB, dir, key string, size disk.Bytes) []byte {
	t.Helper()
	file := filepath.Join(dir, "header")
	defer os.Remove(file)
	emptyFile(t, file, luksHeader+size)
	run(t, "cryptsetup", "luksFormat", "--batch-mode", "--key-file", key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--cipher", "aes-xts-plain64", "--key-size", "512", "--sector-size", fmt.Sprint(volumeSectorSize),
		"--offset", fmt.Sprint(int64(luksHeader/512)), file)
	check(t, os.Truncate(file, int64(luksHeader)))
	header, err := os.ReadFile(file)
	check(t, err)
	return header
}

// rekey returns our run over an image in dir.
func (w *workshop) rekey(t testing.TB, dir string, header []byte, vendor string, size disk.Bytes) func(testing.TB) sample {
	image, key := filepath.Join(dir, "image"), ourKey().make(t)
	defs := definitionsDir(t, fmt.Sprintf(rekeyDefinition, vendor)+ourKey().table)
	randomFile(t, image, partitionStart+luksHeader+size+disk.MiB)
	onePartition(t, image, luksHeader+size)
	writeAt(t, image, header, partitionStart)
	w.actions(t, defs, image)
	return func(t testing.TB) sample {
		writeAt(t, image, header, partitionStart)
		settle(t, image)
		s := w.apply(t, key, "--definitions", defs, image)
		if sameAt(t, image, header, partitionStart) {
			t.Fatal("nothing was rekeyed")
		}
		return s
	}
}

// cryptsetupRekey returns cryptsetup's run over a file in dir.
func cryptsetupRekey(t testing.TB, dir string, header []byte, vendor string, size disk.Bytes) func(testing.TB) sample {
	file := filepath.Join(dir, "theirs")
	randomFile(t, file, luksHeader+size)
	return func(t testing.TB) sample {
		writeAt(t, file, header, 0)
		settle(t, file)
		s, _ := run(t, "cryptsetup", "reencrypt", "--batch-mode", "--force-offline-reencrypt", "--resilience", "checksum", "--key-file", vendor,
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", file)
		if sameAt(t, file, header, 0) {
			t.Fatal("nothing was rekeyed")
		}
		return s
	}
}

func writeAt(t testing.TB, path string, p []byte, at disk.Bytes) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer file.Close()
	_, err = file.WriteAt(p, int64(at))
	check(t, err)
}

// sameAt reports whether p is what is at a place.
func sameAt(t testing.TB, path string, p []byte, at disk.Bytes) bool {
	t.Helper()
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()
	there := make([]byte, len(p))
	_, err = file.ReadAt(there, int64(at))
	check(t, err)
	return bytes.Equal(there, p)
}
