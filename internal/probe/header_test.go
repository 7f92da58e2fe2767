package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestHeader looks at the detached headers that cryptsetup makes: of a volume, and of
// one whose encryption has only begun, with its data larger than the header's file.
func TestHeader(t *testing.T) {
	cryptsetup := testenv.Need(t, "cryptsetup")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	const dataSize = 64 * disk.MiB
	if err := os.WriteFile(path("key"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		args = append(args, "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", path("key"), path("data"))
		if out, err := exec.Command(cryptsetup, args...).CombinedOutput(); err != nil {
			t.Fatalf("cryptsetup %v: %v\n%s", args, err, out)
		}
	}
	for _, c := range []struct {
		name    string
		pending bool
		args    []string
	}{
		{"whole", false, []string{"luksFormat", "--type", "luks2"}},
		{"begun", true, []string{"reencrypt", "--encrypt", "--init-only", "--type", "luks2"}},
	} {
		if err := os.WriteFile(path("data"), make([]byte, dataSize), 0o600); err != nil {
			t.Fatal(err)
		}
		run(append(c.args, "--header", path(c.name))...)
		content, err := headerOf(path(c.name), 2*dataSize)
		if err != nil || content.LUKS == nil || content.LUKS.DataOffset != 0 || (content.LUKS.Reencryption != nil) != c.pending {
			t.Errorf("%s: %+v, %v", c.name, content, err)
		}
	}
	for _, name := range []string{"key", "data"} {
		if content, err := headerOf(path(name), dataSize); err != nil || content.LUKS != nil || content.Problem == "" {
			t.Errorf("%s: %+v, %v", name, content, err)
		}
	}
}

func headerOf(path string, dataSize disk.Bytes) (disk.Content, error) {
	file, err := os.Open(path)
	if err != nil {
		return disk.Content{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return disk.Content{}, err
	}
	return Header(file, disk.Bytes(info.Size()), dataSize)
}
