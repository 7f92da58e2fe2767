package luks2

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// memory is a device in memory.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

func (m memory) Sync() error { return nil }

func (m memory) read() (*Header, error) { return Read(m, int64(len(m))) }

// volume makes a small volume in memory: two keyslots of 32 bytes, a token.
func volume(t testing.TB) memory {
	t.Helper()
	m := make(memory, 512<<10)
	o := options(int64(len(m)), 4096)
	o.KeySize = 32
	h, err := Format(o)
	check(t, err)
	key := random(t, 32)
	for _, p := range []string{passphrase, "second"} {
		_, err = h.AddKeyslot(t.Context(), m, key, []byte(p), TokenKDF(), rand.Reader)
		check(t, err)
	}
	_, err = h.AddToken([]byte(`{"type":"a","keyslots":["0"]}`))
	check(t, err)
	check(t, h.Commit(m))
	return m
}

// sign makes the checksums of both copies right.
func (m memory) sign(size int) {
	for which := range 2 {
		image := m[which*size : (which+1)*size]
		sum := checksum(image)
		copy(image[ChecksumOffset:], sum[:])
	}
}

// json replaces the JSON of both copies.
func (m memory) json(f func(string) string) {
	for which := range 2 {
		area := m[which*16384+4096 : (which+1)*16384]
		text := f(strings.TrimRight(string(area), "\x00"))
		clear(area)
		copy(area, text)
	}
	m.sign(16384)
}

// binary changes the binary header of both copies.
func (m memory) binary(f func(b []byte)) {
	f(m)
	f(m[16384:])
	m.sign(16384)
}

// TestDamagedJSON replaces pieces of a good header's JSON and demands the message.
// The judge for what is damaged is cryptsetup, in TestCryptsetupAgrees.
func TestDamagedJSON(t *testing.T) {
	good := volume(t)
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			m := bytes.Clone(good)
			m2 := memory(m)
			m2.json(func(s string) string {
				changed := c.change(s)
				if changed == s {
					t.Fatal("the change does not apply to " + s)
				}
				return changed
			})
			_, err := m2.read()
			wants(t, err, "damaged LUKS2 header: both copies: "+c.text)
			if !errors.Is(err, ErrDamaged) {
				t.Fatal("not ErrDamaged")
			}
		})
	}
}

// TestCryptsetupAgrees demands that cryptsetup refuses these headers as well, but
// for those that are marked as stricter here.
func TestCryptsetupAgrees(t *testing.T) {
	good := volume(t)
	img := newImage(t, mib)
	img.put(good, 0)
	img.run("luksDump", img.Name())
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			m := memory(bytes.Clone(good))
			m.json(c.change)
			img := newImage(t, mib)
			img.put(m, 0)
			_, err := img.try("luksDump", img.Name())
			if (err == nil) != c.stricter {
				t.Fatalf("cryptsetup reads it: %v; stricter here: %v", err == nil, c.stricter)
			}
		})
	}
}

// swap replaces one piece of text.
func swap(from, to string) func(string) string {
	return func(s string) string { return strings.Replace(s, from, to, 1) }
}

// more puts members in front of an object's.
func more(name, members string) func(string) string {
	return swap(`"`+name+`":{`, `"`+name+`":{`+members+`,`)
}

// segments replaces the only segment and its digest's list.
func segments(list, ids string) func(string) string {
	return func(s string) string {
		a := strings.Index(s, `"segments":{`)
		b := strings.Index(s[a:], `}}`) + a
		s = s[:a] + `"segments":{` + list + `}` + s[b+2:]
		return strings.Replace(s, `"segments":["0"]`, `"segments":[`+ids+`]`, 1)
	}
}

const cryptSegment = `"type":"crypt","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512,`

var damages = []struct {
	name     string
	change   func(string) string
	text     string
	stricter bool // cryptsetup takes it
}{
	{"empty", func(string) string { return "" }, "the JSON area does not begin with an object", false},
	{"array", func(string) string { return "[]" }, "the JSON area does not begin with an object", false},
	{"space first", func(s string) string { return " " + s }, "the JSON area does not begin with an object", false},
	{"cut", func(s string) string { return s[:len(s)-1] }, "the JSON area: not valid JSON at byte 1065: EOF", false},
	{"full area", func(s string) string { return s + strings.Repeat(" ", 12288-len(s)) }, "the JSON area does not end with a NUL", false},
	{"text after", func(s string) string { return s + "\x00x" }, "byte 1067 of the JSON area, after its end, is not NUL", false},
	{"two objects", func(s string) string { return s + "{}" }, "the JSON area: text after the JSON object, at byte 1067", false},
	{"nesting", func(s string) string {
		return `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "," + s[1:]
	}, "the JSON area nests 41 levels deep, more than 32", false},
	{"deep nesting", func(s string) string { return strings.Repeat(`{"x":`, 2000) + "1" + strings.Repeat("}", 2000) }, "the JSON area nests 2000 levels deep, more than 32", false},
	{"key twice", func(s string) string { return `{"config":{},` + s[1:] }, `the JSON area: key "config" is there twice`, true},
	{"no tokens", swap(`"tokens":`, `"token":`), "the JSON area: tokens is missing", false},
	{"wrong case", swap(`"segments":{`, `"Segments":{`), "the JSON area: segments is missing", false},
	{"keyslots array", swap(`"tokens":{"0":{"type":"a","keyslots":["0"]}}`, `"tokens":[]`), "the JSON area: tokens: not a JSON object", false},
	{"config null", swap(`"config":{`, `"config":null,"x":{`), "the JSON area: config: not a JSON object", false},
	{"token id 32", swap(`"tokens":{"0"`, `"tokens":{"32"`), `tokens: id "32" is not a number from 0 to 31`, true},
	{"token id 00", swap(`"tokens":{"0"`, `"tokens":{"00"`), `tokens: id "00" is not a number from 0 to 31`, true},
	{"token id huge", swap(`"tokens":{"0"`, `"tokens":{"99999999999999999999"`), `tokens: id "99999999999999999999" is not a number from 0 to 31`, true},
	{"token id word", swap(`"tokens":{"0"`, `"tokens":{"x"`), `tokens: id "x" is not a number from 0 to 31`, false},
	{"token no type", swap(`"type":"a",`, ``), "token 0: type is missing", false},
	{"token type", swap(`"type":"a"`, `"type":1`), "token 0: type is not a string", false},
	{"token dangling", swap(`"a","keyslots":["0"]`, `"a","keyslots":["3"]`), "token 0: keyslot 3 does not exist", false},
	{"token number", swap(`"a","keyslots":["0"]`, `"a","keyslots":[0]`), "token 0: keyslots is not an array of strings", false},
	{"token null", swap(`"a","keyslots":["0"]`, `"a","keyslots":[null]`), "token 0: keyslots is not an array of strings", false},
	{"digest dangling slot", swap(`["0","1"]`, `["0","9"]`), "digest 0: keyslot 9 does not exist", false},
	{"digest dangling segment", swap(`"segments":["0"]`, `"segments":["0","1"]`), "digest 0: segment 1 does not exist", false},
	{"segment uncovered", swap(`"segments":["0"]`, `"segments":[]`), "segment 0 is in no digest", false},
	{"segment int", swap(`"offset":"524288"`, `"offset":524288`), "segment 0: offset is not a string", false},
	{"segment negative", swap(`"offset":"524288"`, `"offset":"-512"`), `segment 0: offset "-512" is not a decimal number`, false},
	{"segment odd", swap(`"offset":"524288"`, `"offset":"524289"`), "segment 0: offset 524289 is not a multiple of 512", false},
	{"segment zero", swap(`"size":"dynamic"`, `"size":"0"`), "segment 0: size is 0", false},
	{"segment short", swap(`"size":"dynamic"`, `"size":"512"`), "segment 0: size 512 is not a multiple of 4096", false},
	{"sector size string", swap(`"sector_size":4096`, `"sector_size":"4096"`), "segment 0: sector_size is not a number", false},
	{"sector size fraction", swap(`"sector_size":4096`, `"sector_size":4096.5`), "segment 0: sector_size is not a number", false},
	{"no iv", swap(`"iv_tweak":"0",`, ``), "segment 0: iv_tweak is missing", false},
	{"segment gap", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"512"},"2":{`+cryptSegment+`"offset":"0","size":"512"}`, `"0"`), "segment 1 is missing before segment 2", false},
	{"no segments", segments(``, ``), "there is no regular segment", false},
	{"only backup", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"dynamic","flags":["backup-final"]}`, `"0"`), "there is no regular segment", false},
	{"regular after backup", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"512"},"1":{`+cryptSegment+`"offset":"0","size":"512","flags":["backup-final"]},"2":{`+cryptSegment+`"offset":"525312","size":"512"}`, `"0","1","2"`), "segment 2 is regular but follows a backup segment", false},
	{"segments overlap", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"1024"},"1":{`+cryptSegment+`"offset":"524800","size":"512"}`, `"0","1"`), "segments 0 and 1 overlap", false},
	{"dynamic first", segments(`"0":{`+cryptSegment+`"offset":"524288","size":"dynamic"},"1":{`+cryptSegment+`"offset":"524800","size":"512"}`, `"0","1"`), "segment 0 has no size and is not the last", false},
	{"slot key size over", swap(`"key_size":32,"af"`, `"key_size":4294967296,"af"`), "keyslot 0: key_size is out of range", false},
	{"slot no area", swap(`"area":{`, `"aera":{`), "keyslot 0: area is missing", false},
	{"slot area shape", swap(`"area":{`, `"area":3,"x":{`), "keyslot 0: area: not a JSON object", false},
	{"area before", swap(`"offset":"32768"`, `"offset":"28672"`), "keyslot 0: its area, 131072 bytes at 28672, is not inside the keyslots area, 491520 bytes at 32768", false},
	{"area behind", swap(`"offset":"32768"`, `"offset":"458752"`), "keyslot 0: its area, 131072 bytes at 458752, is not inside the keyslots area, 491520 bytes at 32768", false},
	{"area wraps", swap(`"offset":"32768"`, `"offset":"9223372036854775296"`), "keyslot 0: its area, 131072 bytes at 9223372036854775296, is not inside the keyslots area, 491520 bytes at 32768", false},
	{"area empty", swap(`"size":"131072"`, `"size":"0"`), "keyslot 0: its area, 0 bytes at 32768, is not inside the keyslots area, 491520 bytes at 32768", false},
	{"areas overlap", swap(`"offset":"163840"`, `"offset":"163328"`), "keyslot 1: its area overlaps that of keyslot 0", false},
	{"json size", swap(`"json_size":"12288"`, `"json_size":"12287"`), "config: json_size 12287 is not 12288", false},
	{"keyslots size odd", swap(`"keyslots_size":"491520"`, `"keyslots_size":"491519"`), "config: keyslots_size 491519 is not a multiple of 4096 up to 134217728", false},
	{"keyslots size huge", swap(`"keyslots_size":"491520"`, `"keyslots_size":"9223372036854771712"`), "config: keyslots_size 9223372036854771712 is not a multiple of 4096 up to 134217728", false},
	{"keyslots size over data", swap(`"keyslots_size":"491520"`, `"keyslots_size":"495616"`), "config: the keyslots area ends at byte 528384, inside the data that begins at 524288", false},
	{"flags", more("config", `"flags":"allow-discards"`), "config: flags is not an array of strings", false},
	{"requirement without backups", more("config", `"requirements":{"mandatory":["online-reencrypt-v2"]}`), "a re-encryption is pending and there is no segment backup-previous", false},
	{"two requirements", more("config", `"requirements":{"mandatory":["online-reencrypt-v2","online-reencrypt"]}`), "config: 2 re-encryption requirements, more than one", false},
	{"slot splitter", swap(`"type":"luks1"`, `"type":"luks2"`), `keyslot 0: af: type "luks2" is not luks1`, false},
	{"slot area type", swap(`"type":"raw"`, `"type":"cooked"`), `keyslot 0: area: type "cooked" is not raw`, false},
	{"slot no stripes", swap(`"stripes":4000`, `"stripe":4000`), "keyslot 0: af: stripes is missing", false},
	{"slot no cost", swap(`"iterations":1000`, `"iteration":1000`), "keyslot 0: kdf: iterations is missing", false},
	{"reencrypt key size", more("keyslots", `"5":{"type":"reencrypt","key_size":2,"mode":"encrypt","direction":"forward","area":{"type":"none","offset":"294912","size":"4096"}}`), "keyslot 5: key_size of a reencrypt keyslot is 2, not 1", false},
	{"reencrypt direction", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"encrypt","direction":"x","area":{"type":"none","offset":"294912","size":"4096"}}`), `keyslot 5: direction "x" is not known`, false},
	{"reencrypt no shift", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"encrypt","direction":"backward","area":{"type":"datashift","shift_size":"0","offset":"294912","size":"4096"}}`), "keyslot 5: area: shift_size 0 is not a multiple of 512 above 0", false},
	{"reencrypt small sums", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"encrypt","direction":"forward","area":{"type":"checksum","hash":"sha256","sector_size":256,"offset":"294912","size":"4096"}}`), "keyslot 5: area: sector_size 256 is not a power of two from 512 on", false},
	{"reencrypt mode", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"x","direction":"forward","area":{"type":"none","offset":"294912","size":"4096"}}`), `keyslot 5: mode "x" is not known`, false},
	{"reencrypt shift", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"encrypt","direction":"backward","area":{"type":"datashift","shift_size":"1","offset":"294912","size":"4096"}}`), "keyslot 5: area: shift_size 1 is not a multiple of 512 above 0", false},
	{"reencrypt sums", more("keyslots", `"5":{"type":"reencrypt","key_size":1,"mode":"encrypt","direction":"forward","area":{"type":"checksum","hash":"sha256","sector_size":1000,"offset":"294912","size":"4096"}}`), "keyslot 5: area: sector_size 1000 is not a power of two from 512 on", false},
}

func TestDamagedBinary(t *testing.T) {
	good := volume(t)
	for _, c := range []struct {
		name   string
		change func(b []byte)
		text   string
	}{
		{"version", func(b []byte) { b[7] = 1 }, "both copies: version 1, only 2 is known"},
		{"header size", func(b []byte) { binary.BigEndian.PutUint64(b[8:], 1<<62) }, "both copies: header size 4611686018427387904 is none of the format's"},
		{"header size zero", func(b []byte) { clear(b[8:16]) }, "both copies: header size 0 is none of the format's"},
		{"header size beyond", func(b []byte) { binary.BigEndian.PutUint64(b[8:], 4<<20) },
			"primary at byte 0: the device ends after 524288 bytes, inside the header; secondary at byte 16384: header size 4194304 does not fit its place"},
		{"place", func(b []byte) { b[256] = 1 },
			"primary at byte 0: the header says that it belongs at byte 72057594037927936; secondary at byte 16384: the header says that it belongs at byte 72057594037944320"},
		{"checksum name", func(b []byte) { b[72] = 'x' }, `both copies: checksum algorithm: hash "xha256" is not supported`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := memory(bytes.Clone(good))
			m.binary(c.change)
			_, err := m.read()
			wants(t, err, "damaged LUKS2 header: "+c.text)
		})
	}
}

func TestTruncated(t *testing.T) {
	good := volume(t)
	for size, text := range map[int]string{
		0: "no LUKS2 header", 4095: "no LUKS2 header",
		4096:   "damaged LUKS2 header: primary at byte 0: the device ends after 4096 bytes, inside the header; no secondary anywhere",
		16384:  "damaged LUKS2 header: primary at byte 0: the keyslots area ends at byte 524288, behind the device's end at 16384; no secondary anywhere",
		524287: "damaged LUKS2 header: both copies: the keyslots area ends at byte 524288, behind the device's end at 524287",
	} {
		_, err := good[:size].read()
		wants(t, err, text)
	}
	for _, size := range []int{0, 4096} { // the device is shorter than it says
		if _, err := Read(good[:size], int64(len(good))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(size, err)
		}
	}
	h, err := Read(good[:16384], int64(len(good)))
	check(t, err)
	equal(t, "recovered", h.Recovered(), "secondary at byte 16384: unexpected EOF")
	_, err = make(memory, mib).read()
	if !errors.Is(err, ErrNotLUKS2) {
		t.Fatal(err)
	}
}

func TestRecovered(t *testing.T) {
	good := volume(t)
	older := memory(bytes.Clone(good))
	for _, c := range []struct {
		name   string
		change func(m memory)
		text   string
	}{
		{"none", func(memory) {}, ""},
		{"primary erased", func(m memory) { clear(m[:16384]) }, "primary at byte 0: no magic"},
		{"secondary erased", func(m memory) { clear(m[16384:32768]) }, "secondary at byte 16384: no magic"},
		{"primary torn", func(m memory) { m[5000]++ }, "primary at byte 0: the checksum does not match"},
		{"secondary torn", func(m memory) { m[16384+5000]++ }, "secondary at byte 16384: the checksum does not match"},
		{"secondary old", func(m memory) { m.next(t); copy(m[16384:32768], older[16384:]) }, "secondary at byte 16384: sequence id 2 is older than 3"},
		{"primary old", func(m memory) { m.next(t); copy(m[:16384], older) }, "primary at byte 0: sequence id 2 is older than 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := memory(bytes.Clone(good))
			c.change(m)
			h, err := m.read()
			check(t, err)
			equal(t, "recovered", h.Recovered(), c.text)
			check(t, h.Commit(m))
			h, err = m.read()
			check(t, err)
			equal(t, "recovered", h.Recovered(), "")
			if h.salts[0] == h.salts[1] {
				t.Fatal("the copies have one salt")
			}
			img := newImage(t, mib)
			img.put(m, 0)
			img.opens(passphrase)
		})
	}
}

// next commits the header once more.
func (m memory) next(t testing.TB) {
	h, err := m.read()
	check(t, err)
	check(t, h.Commit(m))
}

func TestHostileCosts(t *testing.T) {
	for kdf, text := range map[string]string{
		`"pbkdf2","hash":"sha512","iterations":2147483647`: "open keyslot 0: pbkdf2 with 2147483647 iterations is out of range",
		`"pbkdf2","hash":"sha512","iterations":0`:          "open keyslot 0: pbkdf2 with 0 iterations is out of range",
		`"pbkdf2","hash":"md4","iterations":1000`:          `open keyslot 0: hash "md4" is not supported`,
		`"scrypt"`: `open keyslot 0: kdf "scrypt" is not known`,
		`"argon2id","time":0,"memory":64,"cpus":1`:         "open keyslot 0: argon2id with 0 passes, 64 KiB, 1 cpus is out of range",
		`"argon2id","time":4,"memory":2147483647,"cpus":1`: "open keyslot 0: argon2id with 4 passes, 2147483647 KiB, 1 cpus is out of range",
		`"argon2i","time":4,"memory":64,"cpus":256`:        "open keyslot 0: argon2i with 4 passes, 64 KiB, 256 cpus is out of range",
		`"argon2i","time":2147483647,"memory":64,"cpus":1`: "open keyslot 0: argon2i with 2147483647 passes over 64 KiB would take too long",
	} {
		m := volume(t)
		m.json(swap(`"pbkdf2","hash":"sha512","iterations":1000`, kdf))
		h, err := m.read()
		check(t, err)
		_, err = h.OpenKeyslot(t.Context(), m, 0, []byte(passphrase))
		wants(t, err, text)
		_, slot, err := h.Open(t.Context(), m, []byte("second"))
		check(t, err)
		equal(t, "slot", slot, 1)
	}
}

func TestUnknownRequirement(t *testing.T) {
	m := volume(t)
	m.json(more("config", `"requirements":{"mandatory":["new-thing"]}`))
	h, err := m.read()
	check(t, err)
	wants(t, h.Commit(m), `the header requires "new-thing", which is not known here, so it must not be changed`)
}
