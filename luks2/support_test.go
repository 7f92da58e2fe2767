package luks2

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/xts"

	"github.com/sealpart/sealpart/internal/testenv"
)

const (
	mib        = 1 << 20
	passphrase = "correct horse"
)

// image is a volume in a file, with a file for its passphrase beside it.
type image struct {
	*os.File
	t    testing.TB
	size int64
}

func newImage(t testing.TB, size int64) image {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "vol.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return image{f, t, size}
}

// Sync does nothing: no test here cuts the power.
func (i image) Sync() error { return nil }

// key writes a passphrase to a file and returns its path.
func (i image) key(passphrase string) string {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(passphrase), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// try runs cryptsetup and returns what it said.
func (i image) try(args ...string) (string, error) {
	i.t.Helper()
	cmd := exec.Command(testenv.Need(i.t, "cryptsetup"), append([]string{"--batch-mode"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs cryptsetup, which must be content.
func (i image) run(args ...string) string {
	i.t.Helper()
	out, err := i.try(args...)
	if err != nil {
		i.t.Fatalf("cryptsetup %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// opens demands that cryptsetup opens the volume with a passphrase.
func (i image) opens(passphrase string) {
	i.t.Helper()
	i.run("open", "--test-passphrase", "--key-file", i.key(passphrase), i.Name())
}

// read reads the header.
func (i image) read() *Header {
	i.t.Helper()
	h, err := Read(i, i.size)
	if err != nil {
		i.t.Fatal(err)
	}
	return h
}

// check fails the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal fails the test where two values differ.
func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// wants fails the test unless err says exactly this.
func wants(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Fatalf("error:\n got %v\nwant %s", err, text)
	}
}

// random returns n random bytes.
func random(t testing.TB, n int64) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(rand.Reader, b)
	check(t, err)
	return b
}

// options are those of the volumes in these tests.
func options(dataOffset int64, sectorSize int) FormatOptions {
	return FormatOptions{
		Label: "test", DataOffset: dataOffset, Cipher: "aes-xts-plain64", KeySize: 64, SectorSize: sectorSize, Rand: rand.Reader,
	}
}

// format makes a volume with one keyslot, on disk.
func (i image) format(o FormatOptions) (*Header, []byte) {
	i.t.Helper()
	key := random(i.t, int64(o.KeySize))
	h, err := Format(o)
	check(i.t, err)
	_, err = h.AddKeyslot(i.t.Context(), i, key, []byte(passphrase), TokenKDF(), rand.Reader)
	check(i.t, err)
	check(i.t, h.Commit(i))
	return h, key
}

// crypt encrypts or decrypts data sectors in place, the simple way.
func crypt(t testing.TB, key, data []byte, tweak uint64, sectorSize int, encrypt bool) {
	t.Helper()
	c, err := xts.NewCipher(aes.NewCipher, key)
	check(t, err)
	for ; len(data) > 0; data = data[sectorSize:] {
		if sector := data[:sectorSize]; encrypt {
			c.Encrypt(sector, sector, tweak)
		} else {
			c.Decrypt(sector, sector, tweak)
		}
		tweak += uint64(sectorSize / 512)
	}
}

// bytesAt reads n bytes at off.
func (i image) bytesAt(off, n int64) []byte {
	i.t.Helper()
	b := make([]byte, n)
	_, err := i.ReadAt(b, off)
	check(i.t, err)
	return b
}

// put writes p at off.
func (i image) put(p []byte, off int64) {
	i.t.Helper()
	_, err := i.WriteAt(p, off)
	check(i.t, err)
}

// decrypts demands that the volume is one finished segment that holds plain.
func (i image) decrypts(key, plain []byte) {
	i.t.Helper()
	h := i.read()
	if p, err := h.Reencryption(i.size); p != nil || err != nil {
		i.t.Fatalf("a re-encryption is pending: %+v, %v", p, err)
	}
	check(i.t, h.VerifyKey(i.t.Context(), key))
	data := i.bytesAt(h.DataOffset(), int64(len(plain)))
	crypt(i.t, key, data, 0, h.SectorSize(), false)
	if !bytes.Equal(data, plain) {
		i.t.Fatal("the data is not what it was: " + firstDifference(data, plain))
	}
}

func firstDifference(a, b []byte) string {
	for n := range a {
		if a[n] != b[n] {
			return fmt.Sprintf("first at byte %d", n)
		}
	}
	return "lengths only"
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}
