package luks2

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// forgedDigest returns a header in which a digest is that of n bytes over the right input: what
// a forger gets by trying, in 256 tries for one byte, in none for no bytes.
func forgedDigest(t *testing.T, good memory, d digest, input []byte, n int) *Header {
	t.Helper()
	value, err := pbkdf2Key(context.Background(), d.hash, input, d.salt, d.iterations, max(n, 1))
	check(t, err)
	m := memory(bytes.Clone(good))
	m.json(func(s string) string {
		changed := strings.Replace(s, base64.StdEncoding.EncodeToString(d.value), base64.StdEncoding.EncodeToString(value[:n]), 1)
		if changed == s && n != len(d.value) {
			t.Fatal("the digest is not there")
		}
		return changed
	})
	h, err := m.read()
	check(t, err)
	return h
}

// TestForgedDigests: a digest of another length than its hash's vouches for nothing, however
// right its bytes are. The 20 bytes of a volume that was LUKS1 are right for a volume key only.
func TestForgedDigests(t *testing.T) {
	finished := volume(t)
	h, err := finished.read()
	check(t, err)
	key, _, err := h.Open(t.Context(), finished, []byte(passphrase))
	check(t, err)
	j := rekey(t, "journal", 0)
	pending := memory(j.bytesAt(0, 2*mib))
	r := j.state()
	input, err := r.digestInput(j.oldKey, j.newKey)
	check(t, err)
	record, _ := j.h.digestOfKeyslot(r.KeyslotID)
	for _, n := range []int{0, 1, 16, 19, 20, 21, 31, 32, 33, 64} {
		says := func(id int) string {
			if n == 0 {
				return fmt.Sprintf("digest %d: digest is not base64", id)
			}
			return fmt.Sprintf("digest %d: it has %d bytes, and sha256 has 32", id, n)
		}
		forged := forgedDigest(t, finished, h.meta.digests[0], key, n)
		err := forged.VerifyKey(t.Context(), key)
		_, slotErr := forged.OpenKeyslot(t.Context(), finished, 0, []byte(passphrase))
		if n == 20 || n == 32 {
			check(t, err)
			check(t, slotErr)
		} else {
			wants(t, err, says(0))
			wants(t, slotErr, "open keyslot 0: "+says(0))
		}
		err = forgedDigest(t, pending, record, input, n).VerifyReencryption(t.Context(), j.oldKey, j.newKey)
		if n == 32 {
			check(t, err)
		} else {
			wants(t, err, says(record.id))
		}
	}
}

// TestConvertedFromLUKS1: the digest of a volume that cryptsetup made of a LUKS1 volume has 20
// bytes, and opens.
func TestConvertedFromLUKS1(t *testing.T) {
	img := newImage(t, 4*mib)
	key := img.key(passphrase)
	img.run("luksFormat", "--batch-mode", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file", key, img.Name())
	img.run("convert", "--batch-mode", "--type", "luks2", img.Name())
	h := img.read()
	equal(t, "bytes of the digest", len(h.meta.digests[0].value), 20)
	volumeKey, _, err := h.Open(t.Context(), img, []byte(passphrase))
	check(t, err)
	a, err := h.Activation(Place{Size: 4 * mib})
	check(t, err)
	settled, err := a.Verify(t.Context(), nil, volumeKey)
	check(t, err)
	equal(t, "settled", settled, true)
	volumeKey[0] ^= 1
	if _, err := a.Verify(t.Context(), nil, volumeKey); err != ErrWrongKey {
		t.Fatal(err)
	}
}
