package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// headerRoom is what both sides need beside the data for their header and the
// moved first segment.
const headerRoom = 32 * disk.MiB

// partitionStart is where the partition of an image begins.
const partitionStart = disk.MiB

// volumeSectorSize is the encryption sector size on both sides, in bytes.
const volumeSectorSize = 4096

// convertDefinition converts, and grows the partition for the header.
const convertDefinition = `
[partition]
type = "root"
weight = 0

[encryption]
existing = "convert"
header_room = ["grow"]
sector_size = 4096
`

// convertRow encrypts a file system of 2 GiB in place, all of it.
func convertRow(name string, where place, peer func(t testing.TB, dir string, size disk.Bytes) func(testing.TB) sample, ratio float64) row {
	r := row{
		name: name, work: fmt.Sprintf("convert 2 GiB in place on %s", where), against: "cryptsetup reencrypt --encrypt",
		program: "cryptsetup", goal: goal{ratio: ratio}, show: inSeconds,
	}
	if where == storage && ratio < 1 {
		r.against, r.program = "reading and writing the same bytes", ""
	}
	r.prepare = func(t *testing.T, w *workshop) contest {
		size := w.size(2*disk.GiB, 48*disk.MiB)
		dir := where.dir(t, 3*size)
		return contest{ours: w.convert(t, dir, size), peer: peer(t, dir, size)}
	}
	return r
}

// convert returns our run over an image in dir.
func (w *workshop) convert(t testing.TB, dir string, size disk.Bytes) func(testing.TB) sample {
	image, defs, key := filepath.Join(dir, "image"), definitionsDir(t, convertDefinition+ourKey().table), ourKey().make(t)
	randomFile(t, image, partitionStart+size+headerRoom+disk.MiB)
	return func(t testing.TB) sample {
		zero(t, image, 0, partitionStart+headerRoom)
		zero(t, image, partitionStart+size, headerRoom+disk.MiB) // what lies in free space is not overwritten
		onePartition(t, image, size)
		run(t, "mkfs.ext4", "-q", "-F", "-E", fmt.Sprintf("nodiscard,offset=%d", partitionStart), "-b", "4096", image, kibibytes(size))
		settle(t, image)
		s := w.apply(t, key, "--definitions", defs, image)
		if !magic(t, image, partitionStart) {
			t.Fatal("nothing was converted")
		}
		return s
	}
}

// cryptsetupEncrypt returns cryptsetup's run over a file in dir.
func cryptsetupEncrypt(t testing.TB, dir string, size disk.Bytes) func(testing.TB) sample {
	file, key := filepath.Join(dir, "theirs"), keyFile(t)
	randomFile(t, file, size+headerRoom)
	return func(t testing.TB) sample {
		zero(t, file, 0, headerRoom)
		run(t, "mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-b", "4096", file, kibibytes(size))
		settle(t, file)
		s, _ := run(t, "cryptsetup", "reencrypt", "--encrypt", "--batch-mode", "--reduce-device-size", kibibytes(headerRoom),
			"--key-file", key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
			"--cipher", "aes-xts-plain64", "--key-size", "512", "--sector-size", fmt.Sprint(volumeSectorSize), file)
		if !magic(t, file, 0) {
			t.Fatal("nothing was converted")
		}
		return s
	}
}

// onePartition writes a table with one root partition of size bytes.
func onePartition(t testing.TB, image string, size disk.Bytes) {
	t.Helper()
	root, _ := disk.TypeByName("root", "x86-64")
	partitions(t, image, fmt.Sprintf("start=%d, size=%d, type=%s", partitionStart/512, size/512, root.UUID))
}

// kibibytes writes a size as e2fsprogs and cryptsetup both take it.
func kibibytes(size disk.Bytes) string { return fmt.Sprintf("%dK", size/disk.KiB) }

// discardRow leaves out what the file system does not use.
var discardRow = row{
	name: "convert-discard", work: "convert 8 GiB, 10% in use, free_space=discard", against: "our own free_space=encrypt",
	goal: goal{ratio: 7}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		size := w.size(8*disk.GiB, 64*disk.MiB)
		dir := memory.dir(t, size/4*5)
		template := filepath.Join(dir, "template")
		makeHalfEmpty(t, template, size)
		discard := w.convertCopy(t, template, `free_space = "discard"`)
		encrypt := w.convertCopy(t, template, `free_space = "encrypt"`)
		if w.actions(t, discard.definitions, template) == w.actions(t, encrypt.definitions, template) {
			t.Skip("both plans are the same")
		}
		return contest{ours: discard.run, peer: encrypt.run}
	},
}

// makeHalfEmpty makes an image with a file system of which a tenth is in use.
func makeHalfEmpty(t testing.TB, image string, size disk.Bytes) {
	t.Helper()
	tree := filepath.Join(filepath.Dir(image), "tree")
	check(t, os.Mkdir(tree, 0o700))
	randomFile(t, filepath.Join(tree, "file"), size/10)
	emptyFile(t, image, partitionStart+size+headerRoom+disk.MiB)
	onePartition(t, image, size)
	run(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-d", tree, "-E", fmt.Sprintf("offset=%d", partitionStart), image, kibibytes(size))
	check(t, os.RemoveAll(tree))
}

// variant is a conversion by definitions of its own.
type variant struct {
	definitions string
	run         func(testing.TB) sample
}

// convertCopy converts a copy of template, with a line more in the definition.
func (w *workshop) convertCopy(t testing.TB, template, line string) variant {
	image, key := template+".copy", ourKey().make(t)
	v := variant{definitions: definitionsDir(t, convertDefinition+line+ourKey().table)}
	v.run = func(t testing.TB) sample {
		run(t, "cp", "--sparse=always", template, image)
		defer os.Remove(image)
		s := w.apply(t, key, "--definitions", v.definitions, image)
		if !magic(t, image, partitionStart) {
			t.Fatal("nothing was converted")
		}
		return s
	}
	return v
}
