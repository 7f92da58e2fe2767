package executor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// forged returns a volume with other text in the JSON of both copies of its header, of
// 16 KiB each, under right checksums.
func forged(t testing.TB, image []byte, pattern, with string) []byte {
	t.Helper()
	image = bytes.Clone(image)
	re := regexp.MustCompile(pattern)
	for which := range 2 {
		header := image[which*16384:][:16384]
		text := bytes.TrimRight(header[4096:], "\x00")
		changed := re.ReplaceAll(text, []byte(with))
		if bytes.Equal(text, changed) || len(changed) > 12287 {
			t.Fatalf("%s does not apply to %s", pattern, text)
		}
		reseal(header, changed)
	}
	return image
}

// reseal gives one copy of a header another JSON text, and the checksum of that.
func reseal(header, text []byte) {
	clear(header[4096:])
	copy(header[4096:], text)
	clear(header[luks2.ChecksumOffset:luks2.ChecksumEnd])
	sum := sha256.Sum256(header)
	copy(header[luks2.ChecksumOffset:], sum[:])
}

// watched is a key that reports whether somebody asked for it.
type watched struct {
	fileStub
	passphrase string
	asked      *int
}

func (w watched) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	*w.asked++
	return secret.Take([]byte(w.passphrase))
}

const second = `"1":{"type":"crypt","offset":"2101248","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512}}`

// forgeries are headers that no key vouches for, and what is said of them. Where allowed is
// set, only the data is out of reach: its keys may change.
var forgeries = []struct {
	name, pattern, with, want string
	allowed                   bool
}{
	{"linear beside crypt", `"segments":\{"0":\{[^}]*\}\}(.*)"segments":\["0"\]`, `"segments":{"0":{"type":"linear","offset":"2097152","size":"4096"},` + second + `$1"segments":["1"]`,
		"segment 0 is not encrypted, and no requirement tells of a conversion", false},
	{"linear alone", `"segments":\{"0":\{[^}]*\}\}(.*)"segments":\["0"\]`, `"segments":{"0":{"type":"linear","offset":"2097152","size":"dynamic"}}$1"segments":[]`,
		"segment 0 is not encrypted, and no requirement tells of a conversion", false},
	{"two crypt segments", `"size":"dynamic"([^}]*\})\}(.*)"segments":\["0"\]`, `"size":"4096"$1,` + second + `$2"segments":["0","1"]`,
		"the header has 2 segments, and a finished volume has one", false},
	{"blank in a cipher", `("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}aes-xts-plain64 0`, `segment 0: "aes-xts-plain64 0" is no name of a cipher`, false},
	{"null cipher", `("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}cipher_null-ecb`, `segment 0 is under the cipher "cipher_null-ecb", which encrypts nothing`, false},
	{"null", `("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}null`, `segment 0 is under the cipher "null", which encrypts nothing`, false},
	{"null cipher of a keyslot", `("encryption":")aes-xts-plain64("[^}]*\},"kdf")`, `${1}cipher_null-ecb${2}`, `keyslot 0 is under the cipher "cipher_null-ecb", which encrypts nothing`, false},
	{"cipher of nobody", `("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}rot13-xts-plain64`, `segment 0 is under the cipher "rot13-xts-plain64", which is not supported`, true},
	{"integrity", `"iv_tweak":"0"`, `"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"},"iv_tweak":"0"`,
		"segment 0 has integrity tags, which are not supported", true},
	{"requirement", `"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`, `requires "new-thing", which is not`, false},
	{"legacy conversion", `"config":\{`, `"config":{"requirements":{"mandatory":["offline-reencrypt"]},`, `requires "offline-reencrypt", which is not`, false},
	{"data over the header", `"offset":"2097152"`, `"offset":"0"`, "the data begins at byte 0, where the header is", false},
	{"data behind the end", `"offset":"2097152"`, `"offset":"1099511627776"`, "the data begins at byte 1099511627776, behind the device's end at 6291456", false},
	{"data to the end of numbers", `"offset":"2097152"`, `"offset":"18446744073709551104"`, "behind the device's end at 6291456", false},
	{"no data", `"offset":"2097152"`, `"offset":"6291456"`, "the data begins at byte 6291456, and the device ends at 6291456", false},
	{"more data than there is", `"size":"dynamic"`, `"size":"8388608"`, "segment 0, 8388608 bytes at 2097152, reaches beyond the device's end at 6291456", false},
	{"sectors of 1536", `"sector_size":4096`, `"sector_size":1536`, "segment 0 has sectors of 1536 bytes, not of 512, 1024, 2048 or 4096", false},
	{"hot", `"size":"dynamic"`, `"size":"dynamic","flags":["in-reencryption"]`, "segment 0 is being rewritten, and no requirement tells of a conversion", false},
}

// TestForgedHeadersOpenNothing: none of them is opened, exported or worked on, no key is
// asked for, and nothing is written.
func TestForgedHeadersOpenNothing(t *testing.T) {
	v := newLUKSVolume(t)
	good := append(v.bytes(), make([]byte, 2*disk.MiB)...)
	for _, c := range forgeries {
		asked := 0
		env := testEnv(t)
		env.Sealers, env.Keys = []Sealer{watched{passphrase: "first", asked: &asked}}, []definitions.Key{{Type: "file"}}
		dev := simdev.New(forged(t, good, c.pattern, c.with))
		fails := func(what string, err error) {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: %v", c.name, what, err)
			}
			if asked > 0 || len(dev.Log()) > 0 {
				t.Errorf("%s: %s: a key was asked for %d times, and %d operations done", c.name, what, asked, len(dev.Log()))
			}
		}
		_, err := Open(t.Context(), env, "forged", dev, blockdev.Node{})
		fails("open", err)
		var out bytes.Buffer
		fails("export", Export(t.Context(), env, dev, &out))
		if out.Len() > 0 {
			t.Errorf("%s: %d bytes were exported", c.name, out.Len())
		}
		x := &run{env: env, dev: simTarget{dev, true}}
		encryption := stubEncryption(4*disk.MiB, 512)
		conversion := newConversion(env, nil, dev, plan.Reencrypt{Mode: plan.ModeRekey, Encryption: encryption})
		_, err = conversion.newRekey(t.Context())
		fails("rekey", err)
		if c.allowed {
			continue
		}
		_, _, err = ChangeKeys(t.Context(), env, dev, decided(planner.KeyChange{Add: []definitions.Key{{Type: "file"}}}))
		fails("key add", err)
		_, _, err = ChangeKeys(t.Context(), env, dev, decided(planner.KeyChange{Remove: []int{1}}))
		fails("key remove", err)
		_, err = x.newEnroll(t.Context(), plan.Enroll{Extent: disk.Extent{Size: dev.Size()}, Keys: []definitions.Key{{Type: "file"}}})
		fails("enroll", err)
		backup := forged(t, good, c.pattern, c.with)
		whole := simdev.New(good)
		if _, err := RestoreHeader(t.Context(), env, whole, bytes.NewReader(backup), 4<<20, true); err == nil || !strings.Contains(err.Error(), c.want) || len(whole.Log()) > 0 {
			t.Errorf("%s: restore from it: %v, %d operations", c.name, err, len(whole.Log()))
		}
	}
}

// TestRestoreOverUnknownRequirement: what a header asks for that is not known forbids to
// write over it, whatever is forced.
func TestRestoreOverUnknownRequirement(t *testing.T) {
	v := newLUKSVolume(t)
	backup := v.backup()
	dev := simdev.New(forged(t, v.bytes(), `"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`))
	err := restoreOn(dev, backup, true)
	if !errors.Is(err, luks2.ErrUnsupported) || len(dev.Log()) > 0 {
		t.Errorf("%v, %d operations", err, len(dev.Log()))
	}
}

// TestRestoreOverForgery: a header that somebody has spoiled does not keep its owner from
// restoring a good one, by force.
func TestRestoreOverForgery(t *testing.T) {
	v := newLUKSVolume(t)
	backup := v.backup()
	for _, c := range forgeries[:2] {
		dev := simdev.New(forged(t, append(v.bytes(), make([]byte, 2*disk.MiB)...), c.pattern, c.with))
		if err := restoreOn(dev, backup, false); err == nil || !strings.Contains(err.Error(), c.want+"; whether the backup is of this volume cannot be told") || len(dev.Log()) > 0 {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := restoreOn(dev, backup, true); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		opensOne(t, dev, []string{"second"}, 0)
	}
}

// TestRestoreNamesWhatComesBack: a passphrase that was replaced comes back only by force.
func TestRestoreNamesWhatComesBack(t *testing.T) {
	v := newLUKSVolume(t)
	backup := v.backup()
	dev := simdev.New(v.bytes())
	if err := restoreOn(dev, backup, false); err != nil {
		t.Fatalf("nothing comes back: %v", err)
	}
	v.run("luksKillSlot", "--key-file", v.key("first"), v.path, "1")
	v.add("third")
	dev = simdev.New(v.bytes())
	err := restoreOn(dev, backup, false)
	if want := "keyslots that the volume does not have any more would come back: 1 (a passphrase or key file)"; err == nil || err.Error() != want || len(dev.Log()) > 0 {
		t.Errorf("%v, %d operations", err, len(dev.Log()))
	}
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "--force") {
		t.Errorf("the hint of %v", err)
	}
	back, err := RestoreHeader(t.Context(), testEnv(t), dev, bytes.NewReader(backup), int64(len(backup)), true)
	if err != nil || len(back) != 1 || back[0].Keyslot != 1 {
		t.Errorf("forced: %v, %v", back, err)
	}
	opensOne(t, dev, []string{"second"}, 0)
}
