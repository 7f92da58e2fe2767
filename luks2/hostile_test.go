package luks2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// hostileHeaders are what an attacker writes into the header of a finished volume. reads is
// what Read says of it, opens what Activation does: "" for nothing. theirs reports whether
// cryptsetup reads it: where it does and we do not, why says what two readers would read
// differently.
var hostileHeaders = []struct {
	name         string
	change       func(string) string
	reads, opens string
	theirs       bool
	why          string
}{
	{"a key twice", more("segments", `"0":{"type":"linear","offset":"524288","size":"dynamic"}`), "the JSON area: segments: key", "", true, "the first counts to one reader, the last to another"},
	{"a member twice", swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes-xts-plain64","encryption":"cipher_null-ecb","sector_size"`), `key "encryption" is there twice`, "", true, "the first counts to one reader, the last to another"},
	{"a member twice, by an escape", swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes-xts-plain64","encrypti\u006fn":"cipher_null-ecb","sector_size"`), `key "encryption" is there twice`, "", true, "the first counts to one reader, the last to another"},
	{"config twice", func(s string) string {
		return strings.Replace(s, `"config":{`, `"config":{"json_size":"12288","keyslots_size":"491520"},"config":{`, 1)
	}, `key "config" is there twice`, "", true, "the first counts to one reader, the last to another"},
	{"NUL in a cipher", swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes-xts-plain64\u0000-null","sector_size"`), "a text of the JSON area holds a NUL", "", true, endsThere},
	{"NUL in a type", swap(`"type":"crypt"`, `"type":"crypt\u0000linear"`), "a text of the JSON area holds a NUL", "", true, endsThere},
	{"NUL in a name, for a member twice", swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes-xts-plain64","encryption\u0000":"cipher_null-ecb","sector_size"`), "a text of the JSON area holds a NUL", "", true, endsThere},
	{"NUL in a name, for a requirement that one reader misses", more("config", `"requirements\u0000":{"mandatory":["new-thing"]}`), "a text of the JSON area holds a NUL", "", true, endsThere},
	{"what is no NUL", more("config", `"x":"\\u0000"`), "", "", true, ""},
	{"half a pair of surrogates", swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes\ud800-xts-plain64","sector_size"`), "", "is no name of a cipher", true, ""},
	{"1e3 for a number", swap(`"sector_size":4096`, `"sector_size":4.096e3`), "sector_size is not a number", "", false, ""},
	{"minus zero", swap(`"sector_size":4096`, `"sector_size":-0`), "sector_size 0 is not a multiple of 512 above 0", "", false, ""},
	{"leading zeros in a number", swap(`"sector_size":4096`, `"sector_size":04096`), "not valid JSON", "", true, "no JSON: eight to one reader, ten to another"},
	{"leading zeros in a size", swap(`"offset":"524288"`, `"offset":"00000000524288"`), "", "", true, ""},
	{"a size in hexadecimal", swap(`"offset":"524288"`, `"offset":"0x80000"`), `offset "0x80000" is not a decimal number`, "", false, ""},
	{"a size as a number", swap(`"offset":"524288"`, `"offset":524288`), "offset is not a string", "", false, ""},
	{"a size beyond 64 bits", swap(`"offset":"524288"`, `"offset":"18446744073710075904"`), "is out of range", "", false, ""},
	{"nested 33 deep", more("config", `"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)), "nests 33 levels deep, more than 32", "", false, ""},
	{"nested 10000 deep", more("config", `"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), "nests 5002 levels deep, more than 32", "", false, ""},
	{"JSON after the JSON", func(s string) string { return s + `{"segments":{}}` }, "text after the JSON object", "", false, ""},
	{"an array for all", func(s string) string { return "[" + s + "]" }, "does not begin with an object", "", false, ""},
	{"32 keys of one kind", more("tokens", manyTokens(40)), "id \"32\" is not a number from 0 to 31", "", true, "cryptsetup stops at an assertion when it uses one"},
	{"data in the keyslots", swap(`"keyslots_size":"491520"`, `"keyslots_size":"4096"`), "is not inside the keyslots area", "", false, ""},
	{"keyslots over the data", all(swap(`"offset":"524288"`, `"offset":"491520"`)), "the keyslots area ends at byte 524288, inside the data that begins at 491520", "", false, ""},
	{"the data's key in the keyslot of a token", more("tokens", `"9":{"type":"systemd-tpm2","keyslots":["0","1"]}`), "", "", true, ""},
	{"a token of a keyslot that is not there", more("tokens", `"9":{"type":"systemd-tpm2","keyslots":["7"]}`), "token 9: keyslot 7 does not exist", "", false, ""},
	{"a volume key of another size", swap(`"key_size":32,"af"`, `"key_size":64,"af"`), "", "", true, ""},
	{"a volume key of 1 GiB", swap(`"key_size":32,"af"`, `"key_size":1073741824,"af"`), "", "", true, ""},
	{"flags that nobody knows", more("config", `"flags":["allow-discards","\u001b[2J","no-key"]`), "", "", true, ""},
	{"a requirement that steers a terminal", more("config", `"requirements":{"mandatory":["\u001b]0;x\u0007"]}`), "", `the volume requires "\x1b]0;x\a", which is not supported`, true, ""},
	{"a requirement that is almost known", more("config", `"requirements":{"mandatory":["online-reencrypt-v2 "]}`), "", `the volume requires "online-reencrypt-v2 "`, true, ""},
	{"requirements as a text", more("config", `"requirements":{"mandatory":"online-reencrypt-v2"}`), "requirements: mandatory is not an array of strings", "", false, ""},
	{"a backup segment alone", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"dynamic"},"1":{`+cryptSegment+`"offset":"524288","size":"dynamic","flags":["backup-final"]}`, `"0","1"`), "", "the header has 2 segments, and a finished volume has one", true, ""},
	{"all segments are backups", swap(`"size":"dynamic"`, `"size":"dynamic","flags":["backup-previous"]`), "there is no regular segment", "", false, ""},
	{"segments over each other", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"8192"},"1":{`+cryptSegment+`"offset":"528384","size":"dynamic"}`, `"0","1"`), "segments 0 and 1 overlap", "", false, ""},
	{"a tweak at the end of numbers", swap(`"iv_tweak":"0"`, `"iv_tweak":"18446744073709551615"`), "", "", true, ""},
	{"the data in two digests", more("digests", `"5":{"type":"pbkdf2","keyslots":[],"segments":["0"],"hash":"sha256","iterations":1000,"salt":"","digest":""}`), "", "segment 0 is in the digests [0 5], not in one", true, ""},
	{"a digest of a kind that nobody knows", swap(`"type":"pbkdf2","keyslots":["0","1"]`, `"type":"none","keyslots":["0","1"]`), "", "", true, ""},
}

const endsThere = "the text ends there to one reader, and goes on to another"

// all makes one change after another.
func all(changes ...func(string) string) func(string) string {
	return func(s string) string {
		for _, change := range changes {
			s = change(s)
		}
		return s
	}
}

// manyTokens lists tokens with ids up to n.
func manyTokens(n int) string {
	var list []string
	for id := 1; id <= n; id++ {
		list = append(list, fmt.Sprintf(`"%d":{"type":"x","keyslots":[]}`, id))
	}
	return strings.Join(list, ",")
}

// TestHostileHeaders: each is read, or refused, or read and not opened, with that error;
// cryptsetup agrees on what can be read at all.
func TestHostileHeaders(t *testing.T) {
	tool := testenv.Need(t, "cryptsetup")
	good := volume(t)
	for _, c := range hostileHeaders {
		m := memory(append(bytes.Clone(good), make([]byte, 512<<10)...))
		m.json(func(s string) string {
			changed := c.change(s)
			if changed == s {
				t.Fatalf("%s does not apply to %s", c.name, s)
			}
			return changed
		})
		img := newImage(t, int64(len(m)))
		img.put(m, 0)
		if theirs := exec.Command(tool, "luksDump", "--dump-json-metadata", img.Name()).Run() == nil; theirs != c.theirs {
			t.Errorf("%s: cryptsetup reads it: %v", c.name, theirs)
		}
		h, err := m.read()
		if !says(err, c.reads) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: read: %v, want %q", c.name, err, c.reads)
		}
		if err != nil {
			if c.theirs && c.why == "" {
				t.Errorf("%s: cryptsetup reads it", c.name)
			}
			continue
		}
		if _, err := h.Activation(Place{Size: int64(len(m))}); !says(err, c.opens) {
			t.Errorf("%s: open: %v, want %q", c.name, err, c.opens)
		}
	}
}

func says(err error, text string) bool {
	if text == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), text)
}

// TestSecondHeader: which of two good copies counts is told by the sequence id alone, in
// cryptsetup too; a newer second one is the header, and a replayed pair of an older
// generation is what it was.
func TestSecondHeader(t *testing.T) {
	good := volume(t)
	newer := memory(bytes.Clone(good))
	h, err := newer.read()
	check(t, err)
	check(t, h.SetLabel("newer", ""))
	check(t, h.Commit(newer))
	mixed := memory(bytes.Clone(newer))
	copy(mixed[:16384], good[:16384]) // the first is the older one
	h, err = mixed.read()
	check(t, err)
	equal(t, "label", h.Label, "newer")
	img := newImage(t, int64(len(mixed)))
	img.put(mixed, 0)
	if dump := img.run("luksDump", img.Name()); !strings.Contains(dump, "newer") {
		t.Error("cryptsetup reads the other copy")
	}
	// Of one number, and different: the first counts.
	binary.BigEndian.PutUint64(mixed[16:], binary.BigEndian.Uint64(mixed[16384+16:]))
	mixed.sign(16384)
	h, err = mixed.read()
	check(t, err)
	equal(t, "label", h.Label, "test")
	img.put(mixed, 0)
	if dump := img.run("luksDump", img.Name()); strings.Contains(dump, "newer") {
		t.Error("cryptsetup reads the other copy")
	}
}

// TestReplayedConversion: the header of a conversion that is put back over the finished
// volume of the same keys is what it was: a record that the keys vouch for. What is done of it
// is not theirs to know, so it is the one thing that whoever has the disk can still choose;
// one of another volume is not believed.
func TestReplayedConversion(t *testing.T) {
	j, other := rekey(t, "journal", 0), rekey(t, "journal", 0)
	check(t, j.h.VerifyReencryption(t.Context(), j.oldKey, j.newKey))
	for name, c := range map[string]struct{ old, new []byte }{
		"another volume": {other.oldKey, other.newKey}, "another new key": {j.oldKey, other.newKey}, "another old key": {other.oldKey, j.newKey}, "the other way round": {j.newKey, j.oldKey},
	} {
		if err := j.h.VerifyReencryption(t.Context(), c.old, c.new); !errors.Is(err, ErrReencryption) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
