package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// passphrase is what the stub sealer guards; real tools open volumes with it.
const passphrase = "a passphrase of the tests"

// stub is a key without hardware: it seals nothing and always unseals.
type stub struct{ fail error }

func (stub) Kind() string      { return "stub" }
func (stub) TokenType() string { return "stub" }

func (s stub) Seal(context.Context, definitions.Key) (Sealed, error) {
	if s.fail != nil {
		return Sealed{}, s.fail
	}
	p, err := secret.Take([]byte(passphrase))
	return Sealed{Passphrase: p, Token: []byte(`{"type":"stub","keyslots":[]}`), KDF: luks2.TokenKDF()}, err
}

func (s stub) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return secret.Take([]byte(passphrase))
}

// testEnv is an Env with the stub key and randomness that a seed repeats.
func testEnv(t testing.TB) Env {
	return Env{
		Sealers: []Sealer{stub{}}, Random: rand.NewChaCha8([32]byte{1}), TempDir: t.TempDir(), Workers: 1,
	}
}

var errBoom = errors.New("boom")

// stubEncryption is how test volumes are encrypted.
func stubEncryption(shift, sector disk.Bytes) plan.Encryption {
	return plan.Encryption{
		Cipher: "aes-xts-plain64", KeyBits: 512, SectorSize: sector, DataOffset: shift,
		UUID: uuid.MustParse("6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a"), Keys: []definitions.Key{{Type: "stub"}},
	}
}

// extImage makes an ext4 with random files and returns its bytes.
func extImage(t testing.TB, size disk.Bytes, args ...string) []byte {
	t.Helper()
	mkfs := testenv.Need(t, "mkfs.ext4")
	dir := t.TempDir()
	source := rand.NewChaCha8([32]byte{7})
	for _, name := range []string{"a", "b", "c", "d"} {
		content := make([]byte, size/8)
		source.Read(content)
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(t.TempDir(), "ext4.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, int64(size)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, append(append([]string{"-q", "-d", dir}, args...), image)...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	bytes, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
