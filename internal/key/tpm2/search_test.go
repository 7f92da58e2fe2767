package tpm2

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
)

func place(t *testing.T, root, path string, content []byte) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Files are found where systemd has them: /etc before /run before /usr, what came with the
// kernel image last. A path that is named is not searched for.
func TestSearch(t *testing.T) {
	root := t.TempDir()
	s := Search{Root: root}
	if _, err := s.publicKey(Auto); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
	for _, dir := range []string{".extra", "usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd"} {
		place(t, root, dir+"/tpm2-pcr-public-key.pem", []byte(dir))
		if got, err := s.publicKey(Auto); err != nil || string(got) != dir {
			t.Errorf("%s: found %q, %v", dir, got, err)
		}
	}
	if got, err := s.publicKey(root + "/.extra/tpm2-pcr-public-key.pem"); err != nil || string(got) != ".extra" {
		t.Errorf("by its path: found %q, %v", got, err)
	}
	place(t, root, "run/systemd/tpm2-pcr-signature.json", make([]byte, maxFile+1))
	if _, err := s.signatures(); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("a large file: %v", err)
	}
}

// pcrlock = "auto" binds to the policy that is there, and to none where there is none.
func TestSealerFindsPolicies(t *testing.T) {
	device, v, root := testenv.StartSWTPM(t), newVendor(t), t.TempDir()
	boot(t, device)
	place(t, root, "etc/systemd/tpm2-pcr-public-key.pem", v.pem(t))
	signatures, err := os.ReadFile(v.sign(t, device, "enter-initrd"))
	if err != nil {
		t.Fatal(err)
	}
	place(t, root, "run/systemd/tpm2-pcr-signature.json", signatures)
	sealer := Sealer{Device: device, Search: Search{Root: root}}
	key := definitions.Key{Type: definitions.KeyTPM2, PublicKey: Auto, PublicKeyPCRs: []int{11}, PCRLock: Auto, Format: definitions.FormatNewest}
	sealAndUnseal := func(shards int) {
		t.Helper()
		sealed, err := sealer.Seal(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := ParseToken(sealed.Token)
		if err != nil || len(tok.Blobs) != shards || tok.PCRLock != (shards == 2) {
			t.Errorf("%d shards, pcrlock %v: %v", len(tok.Blobs), tok.PCRLock, err)
		}
		got, err := sealer.Unseal(context.Background(), key, sealed.Token)
		if err != nil || string(got.Bytes()) != string(sealed.Passphrase.Bytes()) {
			t.Errorf("with %d shards: %v", shards, err)
		}
	}
	sealAndUnseal(1)
	lock, err := os.ReadFile(lockedTo(t, device, zeroPCR, extendedPCR))
	if err != nil {
		t.Fatal(err)
	}
	place(t, root, "var/lib/systemd/pcrlock.json", lock)
	sealAndUnseal(2)
}

// What a key is to be bound to is looked at without a TPM, for the plan.
func TestSearchCheck(t *testing.T) {
	dir := t.TempDir()
	lock := func(name, values string) string {
		place(t, dir, name, []byte(`{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":16,"values":["`+values+`"]}]}`))
		return dir + "/" + name
	}
	place(t, dir, "key.pem", newVendor(t).pem(t))
	good, blank, none := lock("good.json", extendedPCR), lock("blank.json", zeroPCR), dir+"/none"
	for _, c := range []struct {
		key           definitions.Key
		setting, want string
	}{
		{definitions.Key{PCRs: []int{7}}, "", ""},
		{definitions.Key{PublicKey: Auto, PCRLock: Auto}, "", ""},
		{definitions.Key{PublicKey: dir + "/key.pem", PublicKeyPCRs: []int{11}, PCRLock: good}, "", ""},
		{definitions.Key{PublicKey: none}, "public_key", "no such file"},
		{definitions.Key{PublicKey: good}, "public_key", "is not PEM text"},
		{definitions.Key{DeviceKey: none}, "device_key", "no such file"},
		{definitions.Key{PCRLock: none, PCRs: []int{7}}, "pcrlock", "no such file"},
		{definitions.Key{PCRLock: dir + "/key.pem"}, "pcrlock", "policy of pcrlock: invalid character"},
		{definitions.Key{PCRLock: blank}, "pcrlock", "takes PCRs that nothing was measured into"},
		{definitions.Key{PCRLock: blank, Blank: definitions.BlankAllow}, "", ""},
	} {
		setting, err := Search{}.Check(c.key)
		if setting != c.setting || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %q, %v", c.key, setting, err)
		}
	}
}
