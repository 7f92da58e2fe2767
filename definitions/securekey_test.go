package definitions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSecureKey: it says what the volume key is, and brings its cipher; it is none of the
// keys of keyslots.
func TestSecureKey(t *testing.T) {
	const text = `[partition]
type = "srv"
[encryption]
key_bits = 2176
sector_size = 4096
[[encryption.key]]
type = "secure-key"
key_type = "CCA-AESCIPHER"
apqns = ["00.0035", "0a.00ff"]
repository = "/etc/zkey/repository"
[[encryption.key]]
type = "file"
path = "/k"
`
	e := mustLoad(t, map[string]string{"10-data.toml": text})[0].Encryption
	want := &SecureKey{KeyType: "CCA-AESCIPHER", APQNs: []string{"00.0035", "0a.00ff"}, Repository: "/etc/zkey/repository"}
	if d := cmp.Diff(want, e.SecureKey); d != "" || e.Cipher != "paes-xts-plain64" || len(e.Keys) != 1 || e.Keys[0].Type != KeyFile {
		t.Errorf("%s%+v", d, e)
	}
	if bits := (SecureKey{KeyType: "CCA-AESDATA"}).Bits(); bits != 1024 {
		t.Errorf("CCA-AESDATA has %d bits", bits)
	}
}

// TestNoSecureKeyslot: nobody can add one to a volume that is there.
func TestNoSecureKeyslot(t *testing.T) {
	_, err := Keys("--key", "[encryption]\nkey = [{ type = \"file\" }, { type = \"secure-key\" }]\n")
	if err == nil || !strings.Contains(err.Error(), "takes no keyslot") {
		t.Error(err)
	}
}
