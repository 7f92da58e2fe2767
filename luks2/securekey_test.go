package luks2

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// volatileKeys differ between two volumes of one form.
var volatileKeys = []string{"salt", "digest", "iterations", "kdf", "af", "hash"}

// formOf returns the metadata as cryptsetup reads it, without what is random and without
// what is ours to choose: hashes and key derivation.
func (i image) formOf(t *testing.T) any {
	var form any
	check(t, json.Unmarshal([]byte(i.run("luksDump", "--dump-json-metadata", i.Name())), &form))
	var strip func(any)
	strip = func(v any) {
		if o, ok := v.(map[string]any); ok {
			for _, k := range volatileKeys {
				delete(o, k)
			}
			for _, child := range o {
				strip(child)
			}
		}
	}
	strip(form)
	return form
}

// TestSecureKeys: volumes under secure keys of all lengths, ours and cryptsetup's by the
// same key, have one form, and each opens the other's.
func TestSecureKeys(t *testing.T) {
	for kind, size := range map[string]int{"CCA-AESDATA": 128, "CCA-AESCIPHER": 272, "EP11-AES": 640} {
		t.Run(kind, func(t *testing.T) {
			ours, theirs := newImage(t, 32*mib), newImage(t, 32*mib)
			o := options(16*mib, 4096)
			o.Cipher, o.KeySize, o.Label = "paes-xts-plain64", size, ""
			_, key := ours.format(o)
			blob := filepath.Join(t.TempDir(), "blob")
			check(t, os.WriteFile(blob, key, 0o600))
			theirs.run("luksFormat", "--type", "luks2", "--volume-key-file", blob, "--key-size", fmt.Sprint(size*8), "--cipher", o.Cipher,
				"--sector-size", "4096", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", theirs.Name(), theirs.key(passphrase))
			equal(t, "metadata", ours.formOf(t), theirs.formOf(t))

			ours.opens(passphrase)
			dumped := filepath.Join(t.TempDir(), "dumped")
			ours.run("luksDump", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", ours.key(passphrase), ours.Name())
			got, err := os.ReadFile(dumped)
			check(t, err)
			equal(t, "key that cryptsetup takes from ours", got, key)

			h := theirs.read()
			opened, err := h.OpenKeyslot(t.Context(), theirs, 0, []byte(passphrase))
			check(t, err)
			equal(t, "key that we take from theirs", opened, key)
			check(t, h.VerifyKey(t.Context(), key))
			_, err = h.AddKeyslot(t.Context(), theirs, key, []byte("another"), TokenKDF(), rand.Reader)
			check(t, err)
			check(t, h.Commit(theirs))
			theirs.opens("another")
		})
	}
}
