package rig

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mib = 1 << 20

// Plain is a disk image with a plain root, before anything happens to it.
type Plain struct {
	Path        string // of the image
	Definitions string // folder that wants root encrypted with Key
	Key         string // path of the key file
	Root        string // path of a copy of root's file system
	Sum         string // of the file system, SHA-256
	Size        int64  // of the file system, bytes
}

// definition wants root encrypted in place, with a key that is a file.
const definition = `[partition]
type = "root"
weight = 0

[encryption]
existing = "convert"
header_room = ["grow"]

[[encryption.key]]
type = "file"
`

// NewPlain makes an image whose root is an ext4 of so many MiB, filled to two
// thirds with random files, with 40 MiB of free space behind it.
func NewPlain(t testing.TB, dir string, megabytes int64) Plain {
	t.Helper()
	p := Plain{
		Path: filepath.Join(dir, "plain.img"), Size: megabytes * mib, Root: Ext4(t, dir, megabytes),
		Definitions: filepath.Join(dir, "definitions"), Key: File(t, dir, "key", "a key file of the tests"),
	}
	if err := os.Mkdir(p.Definitions, 0o755); err != nil {
		t.Fatal(err)
	}
	File(t, p.Definitions, "10-root.toml", definition)
	File(t, dir, "plain.img", "")
	if err := os.Truncate(p.Path, (megabytes+42)*mib); err != nil {
		t.Fatal(err)
	}
	RunIn(t, fmt.Sprintf("label: gpt\nstart=2048, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", megabytes*2048), "sfdisk", "-q", p.Path)
	Run(t, "dd", "if="+p.Root, "of="+p.Path, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	p.Sum = Sum(t, p.Root, p.Size)
	return p
}

// Begin makes an image in which cryptsetup has begun the conversion of root, with a
// keyslot that costs nothing to open.
func (p Plain) Begin(t testing.TB, image string) string {
	t.Helper()
	Copy(t, p.Path, image)
	RunIn(t, fmt.Sprintf(", %dM", p.Size/mib+40), "sfdisk", "-q", "-N", "1", image)
	volume := Extract(t, image, "root", image+".root")
	Run(t, "cryptsetup", "reencrypt", "--encrypt", "--init-only", "--batch-mode", "--reduce-device-size", "32M",
		"--key-file", p.Key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", volume)
	Run(t, "dd", "if="+volume, "of="+image, "bs=1M", "seek=1", "conv=notrunc", "status=none")
	return image
}

// Ext4 makes a file system in a file and returns its path.
func Ext4(t testing.TB, dir string, megabytes int64) string {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	source := rand.NewChaCha8([32]byte{7})
	if err := os.MkdirAll(filepath.Join(tree, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		content := make([]byte, megabytes*mib/24)
		_, _ = source.Read(content) // never fails
		File(t, filepath.Join(tree, "deep"), fmt.Sprintf("file-%d", i), string(content))
	}
	path := File(t, dir, "root.ext4", "")
	if err := os.Truncate(path, megabytes*mib); err != nil {
		t.Fatal(err)
	}
	Run(t, "mkfs.ext4", "-q", "-d", tree, path)
	return path
}

// Apply returns the arguments that apply p's definitions to an image.
func (p Plain) Apply(image string, more ...string) []string {
	return append([]string{"apply", "--definitions", p.Definitions, "--key-file", p.Key, "--seed", Seed, image}, more...)
}

// Check demands that root of the image is a finished volume that cryptsetup opens,
// whose content is the file system as it was, and that there is nothing left to do.
func (p Plain) Check(t testing.TB, image string) {
	t.Helper()
	if got := Sum(t, p.finished(t, image), p.Size); got != p.Sum {
		t.Errorf("the content of root has changed: %s, was %s", got, p.Sum)
	}
}

// CheckFiles is like Check where a kernel made the file system larger: its files are as
// they were.
func (p Plain) CheckFiles(t testing.TB, image string) {
	t.Helper()
	dir := t.TempDir()
	var trees []string
	for _, fs := range []string{p.Root, p.finished(t, image)} {
		tree := filepath.Join(dir, fmt.Sprint(len(trees)))
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		Run(t, "debugfs", "-R", "rdump / "+tree, fs)
		trees = append(trees, tree)
	}
	Run(t, "diff", "-r", "--no-dereference", trees[0], trees[1])
	if files := Run(t, "find", trees[0], "-type", "f"); strings.Count(files, "\n") < 16 {
		t.Errorf("too few files to compare:\n%s", files)
	}
}

// finished demands that root of the image is a finished volume, with a sound file system
// and nothing left to do, and returns a file with its content.
func (p Plain) finished(t testing.TB, image string) (content string) {
	t.Helper()
	dir := t.TempDir()
	volume := Extract(t, image, "root", filepath.Join(dir, "root.luks"))
	p.CheckVolume(t, volume)
	plain := filepath.Join(dir, "root.plain")
	Must(t, "export", "--key-file", p.Key, image+"#root", plain)
	// A kernel that was cut off while it grew the file system left that in its journal.
	Run(t, "sh", "-c", `e2fsck -p -E journal_only "$0" || test $? = 1`, plain)
	Run(t, "e2fsck", "-fn", plain)
	if out := Must(t, p.Apply(image)...); out != "" {
		t.Errorf("there is still to do: %s", out)
	}
	NoPlainText(t, p.Root, image)
	return plain
}

// CheckVolume asks cryptsetup whether a volume is finished and opens.
func (p Plain) CheckVolume(t testing.TB, volume string) {
	t.Helper()
	Run(t, "cryptsetup", "open", "--test-passphrase", "--key-file", p.Key, volume)
	if dump := Run(t, "cryptsetup", "luksDump", volume); strings.Contains(dump, "reencrypt") || strings.Contains(dump, ": sealpart\n") {
		t.Errorf("the conversion is not finished:\n%s", dump)
	}
}

// Sum returns the SHA-256 of a file's first n bytes.
func Sum(t testing.TB, path string, n int64) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.CopyN(hash, file, n); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Same demands that two files start with the same n bytes.
func Same(t testing.TB, a, b string, n int64) {
	t.Helper()
	if Sum(t, a, n) == Sum(t, b, n) {
		return
	}
	x, y := readAll(t, a), readAll(t, b)
	for i := range n {
		if x[i] != y[i] {
			t.Errorf("%s and %s differ from byte %d on", a, b, i)
			return
		}
	}
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(content)
}
