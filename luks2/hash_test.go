package luks2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"strings"
	"testing"
)

// TestHashesOfOthers: keyslots that cryptsetup makes with hashes of all kinds open, and those with
// one that nothing here has say which it is.
func TestHashesOfOthers(t *testing.T) {
	for hash, unreadable := range map[string]string{
		"ripemd160": "", "sha3-256": "", "sha3-512": "", "blake2b-512": "", "blake2s-256": "",
		"whirlpool": `hash "whirlpool" is not supported`, "sm3": `hash "sm3" is not supported`,
	} {
		t.Run(hash, func(t *testing.T) {
			i := newImage(t, 20*mib)
			out, err := i.try("luksFormat", "--type", "luks2", "--hash", hash, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
				"--key-file", i.key(passphrase), i.Name())
			if err != nil && strings.Contains(out, "hash") {
				t.Skipf("this cryptsetup has no %s: %s", hash, out)
			}
			if err != nil {
				t.Fatal(out)
			}
			h := i.read()
			slot := h.Keyslots()[0]
			equal(t, "unreadable", slot.Unreadable(), unreadable)
			if slot.KDF.Hash != hash || slot.AFHash != hash {
				t.Errorf("the hashes are %s and %s", slot.KDF.Hash, slot.AFHash)
			}
			key, err := h.OpenKeyslot(context.Background(), i, 0, []byte(passphrase))
			if unreadable != "" {
				wants(t, err, "open keyslot 0: "+unreadable)
				return
			}
			check(t, err)
			i.run("luksDump", "--dump-volume-key", "--volume-key-file", i.Name()+".key", "--key-file", i.key(passphrase), i.Name())
			theirs, err := os.ReadFile(i.Name() + ".key")
			check(t, err)
			equal(t, "volume key", key, theirs)
			_, err = h.OpenKeyslot(context.Background(), i, 0, []byte("wrong"))
			wants(t, err, "open keyslot 0: "+ErrWrongPassphrase.Error())
		})
	}
}

// TestMACWithoutState: a hash that does not give its state makes the same codes.
func TestMACWithoutState(t *testing.T) {
	for _, size := range []int{5, 64, 200} {
		key := bytes.Repeat([]byte{7}, size)
		whole := newMAC(sha256.New, key)
		kept := &mac{hash: sha256.New(), whole: true}
		pad := make([]byte, 64)
		if sum := sha256.Sum256(key); size > len(pad) {
			copy(pad, sum[:])
		} else {
			copy(pad, key)
		}
		kept.inner, kept.outer = kept.state(pad, 0x36), kept.state(pad, 0x36^0x5c)
		equal(t, "code", kept.sum(nil, []byte("message")), whole.sum(nil, []byte("message")))
	}
}
