package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// secureBlob stands for what an adapter makes.
var secureBlob = bytes.Repeat([]byte("blob of an adapter"), 16)[:272]

// secureVolume is a new volume under a secure key.
func secureVolume(t *testing.T) *volume {
	t.Helper()
	env := testEnv(t)
	env.SecureKey = func(_ context.Context, k definitions.SecureKey, name string) (SecureKey, error) {
		if k.KeyType != "CCA-AESCIPHER" || !strings.HasPrefix(name, "sealpart-6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a-") {
			t.Errorf("asked for %v by the name %s", k, name)
		}
		blob, err := secret.Take(bytes.Clone(secureBlob))
		return SecureKey{Blob: blob, Pattern: strings.Repeat("0f", 32)}, err
	}
	v, err := newVolume(t.Context(), env, secureEncryption())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.wipe)
	return v
}

func secureEncryption() plan.Encryption {
	e := stubEncryption(16*disk.MiB, 4096)
	e.SecureKey = &definitions.SecureKey{KeyType: "CCA-AESCIPHER"}
	e.Cipher, e.KeyBits = definitions.CipherSecure, e.SecureKey.Bits()
	return e
}

// TestSecureKeyHeader: the header has the key of the adapter in its keyslots and zkey's
// token, as cryptsetup reads them.
func TestSecureKeyHeader(t *testing.T) {
	cryptsetup := testenv.Need(t, "cryptsetup")
	dir := t.TempDir()
	image, key, dumped := filepath.Join(dir, "vol"), filepath.Join(dir, "key"), filepath.Join(dir, "dumped")
	v := secureVolume(t)
	for path, content := range map[string][]byte{image: v.front.bytes, key: []byte(passphrase)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		out, err := exec.Command(cryptsetup, append([]string{"--batch-mode"}, args...)...).Output()
		if err != nil {
			t.Fatalf("cryptsetup %v: %v", args, err)
		}
		return out
	}
	var got struct {
		Tokens   map[string]json.RawMessage
		Segments map[string]struct {
			Encryption string
			SectorSize int `json:"sector_size"`
		}
	}
	if err := json.Unmarshal(run("luksDump", "--dump-json-metadata", image), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Segments["0"]; s.Encryption != "paes-xts-plain64" || s.SectorSize != 4096 {
		t.Errorf("segment %+v", s)
	}
	var token map[string]any
	if err := json.Unmarshal(got.Tokens["1"], &token); err != nil || token["type"] != "paes-verification-pattern" ||
		token["verification-pattern"] != strings.Repeat("0f", 32) || len(token["keyslots"].([]any)) != 0 || len(token) != 3 {
		t.Errorf("token %s, %v", got.Tokens["1"], err)
	}
	run("luksDump", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", key, image)
	if blob, err := os.ReadFile(dumped); err != nil || !bytes.Equal(blob, secureBlob) {
		t.Errorf("cryptsetup finds another volume key (%v)", err)
	}
}

// TestSecureKeyTable: dm-crypt is given the cipher and the length of the key that the header
// says, and the key by reference.
func TestSecureKeyTable(t *testing.T) {
	v := secureVolume(t)
	part := simdev.New(make([]byte, 64*disk.MiB))
	o := newOpening(v.header, part, blockdev.Node{Device: "94:1"}, v.key)
	defer o.dropKeys()
	targets, err := o.targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "paes-xts-plain64 :272:logon:cryptsetup:6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a-d0 0 94:1 32768 1 sector_size:4096"
	if len(targets) != 1 || targets[0].Params != want || targets[0].Length != 98304 {
		t.Errorf("table %+v\nwant %s", targets, want)
	}
}

// TestSecureKeyNotHere: what user space would do to data under a secure key is refused
// before anybody is asked for a key, and so is making one where nothing can.
func TestSecureKeyNotHere(t *testing.T) {
	v := secureVolume(t)
	part := simdev.New(make([]byte, 64*disk.MiB))
	if _, err := part.WriteAt(v.front.bytes, 0); err != nil {
		t.Fatal(err)
	}
	const want = "data under a secure key (paes-xts-plain64) is read and written by the kernel alone"
	if err := Export(t.Context(), Env{}, part, new(bytes.Buffer)); err == nil || err.Error() != want {
		t.Errorf("export: %v", err)
	}
	segment := luks2.Segment{Type: "crypt", Encryption: definitions.CipherSecure, SectorSize: 4096}
	if _, err := newEncrypter(segment, v.key); err == nil || err.Error() != want {
		t.Errorf("conversion: %v", err)
	}
	if _, err := newVolume(t.Context(), testEnv(t), secureEncryption()); err == nil || !strings.Contains(err.Error(), "nothing here to make secure keys") {
		t.Errorf("create: %v", err)
	}
}
