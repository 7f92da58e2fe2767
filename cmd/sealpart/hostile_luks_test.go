package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Of the headers that cryptsetup makes by default (LUKS2 On-Disk Format
// Specification, section 2.1): both copies stand one behind the other.
const (
	headerSize     = 16 << 10
	jsonStart      = 4 << 10
	headerChecksum = 448
)

// header returns a copy of root's LUKS2 header, the first or the second.
func (v victim) header(which int) []byte {
	return v.image[rootStart+which*headerSize:][:headerSize]
}

// sign makes the checksums of both copies good.
func (v victim) sign() {
	for which := range 2 {
		h := v.header(which)
		clear(h[headerChecksum : headerChecksum+64])
		sum := sha256.Sum256(h)
		copy(h[headerChecksum:], sum[:])
	}
}

// swap replaces what matches pattern in the JSON of both copies.
func swap(pattern, with string) func(victim) {
	re := regexp.MustCompile(pattern)
	return func(v victim) {
		for which := range 2 {
			area := v.header(which)[jsonStart:]
			text := re.ReplaceAll(bytes.TrimRight(area, "\x00"), []byte(with))
			clear(area)
			copy(area, text)
		}
		v.sign()
	}
}

// text replaces the JSON of both copies.
func text(text string) func(victim) { return swap(`(?s)^.*$`, text) }

// headerField sets a field of the binary header of both copies.
func headerField(at int, value ...byte) func(victim) {
	return func(v victim) {
		for which := range 2 {
			copy(v.header(which)[at:], value)
		}
		v.sign()
	}
}

// tear breaks a byte of a copy.
func tear(copies ...int) func(victim) {
	return func(v victim) {
		for _, which := range copies {
			v.header(which)[jsonStart] ^= 1
		}
	}
}

// lose erases copies.
func lose(copies ...int) func(victim) {
	return func(v victim) {
		for _, which := range copies {
			clear(v.header(which))
		}
	}
}

// kdf gives all keyslots another KDF.
func kdf(text string) func(victim) {
	return swap(`"type":"pbkdf2","hash":"sha256","iterations":1000,("salt":"[^"]*")`, text+`,$1`)
}

func big(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

const convert = "[encryption]\nexisting = \"convert\"\nheader_room = [\"grow\"]\n[[encryption.key]]\ntype = \"file\"\n"

var hostileVolumes = []hostile{
	{name: "nothing wrong", change: nothing, want: used},
	{name: "first copy torn", change: tear(0), want: used},
	{name: "second copy torn", change: tear(1), want: used},
	{name: "first copy lost", change: lose(0), want: used},
	{name: "second copy lost", change: lose(1), want: used},
	{name: "token of garbage", change: swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"systemd-tpm2","keyslots":["0"],"tpm2-pcrs":"x","tpm2-blob":[1,{}],"tpm2-pcr-bank":7,"tpm2-pin":"no"}}`), want: used},
	{name: "token that steers a terminal", change: swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"\u001b[2J","keyslots":["0"]}}`), want: used},
	{name: "tokens of systemd that steer a terminal", change: swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"systemd-pkcs11","keyslots":["0"],"pkcs11-uri":"pkcs11:token=\u001b[2J;object=\u0007","pkcs11-key":"AAAA"},"1":{"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":"AAAA","tpm2-pcrs":[7],"tpm2-pcr-bank":"\u001b]0;x\u0007","tpm2-policy-hash":"00"}}`), want: used},
	{name: "label that steers a terminal", change: headerField(24, []byte("\x1b[2J\x07label\x00")...), want: used},
	{name: "subsystem that steers a terminal", change: headerField(208, []byte("\x1b]0;sub\x07\x00")...), want: used},
	{name: "NUL in a name", change: swap(`"encryption":"aes-xts-plain64","sector_size"`, `"encryption":"aes-xts-plain64","encryption\u0000":"cipher_null-ecb","sector_size"`)},
	{name: "mark that it has been rekeyed", change: swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"sealpart-rekeyed","keyslots":[]}}`), want: used},
	{name: "cipher that steers a terminal", change: swap(`aes-xts-plain64`, `\u001b[2Jxx\n`)},
	{name: "cipher that brings more of a table", change: swap(`aes-xts-plain64`, `aes-xts-plain64 :64:logon:x 0 /dev/sda`)},
	{name: "cipher that encrypts nothing", change: swap(`("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}cipher_null-ecb`)},
	{name: "cipher that encrypts nothing, by another name", change: swap(`("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}capi:ecb(cipher_null)-null`)},
	{name: "keyslot that is not encrypted", change: swap(`("encryption":")aes-xts-plain64(","key_size":64)`, `${1}cipher_null-ecb${2}`)},
	{name: "cipher nobody knows", change: swap(`("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}rot13-ecb`), want: used},
	{name: "cipher of others", change: swap(`("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}serpent-xts-plain64`), want: used},
	{name: "integrity tags", change: swap(`"iv_tweak":"0"`, `"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"},"iv_tweak":"0"`), want: used},
	{name: "plain bytes before the data", change: all(swap(`"segments":\["0"\]`, `"segments":["1"]`), swap(`"segments":\{"0":\{[^}]*\}`, `"segments":{"0":{"type":"linear","offset":"16777216","size":"4096"},"1":{"type":"crypt","offset":"16781312","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512}`))},
	{name: "plain bytes alone", change: swap(`"segments":\{"0":\{[^}]*\}`, `"segments":{"0":{"type":"linear","offset":"16777216","size":"dynamic"}`)},
	{name: "two encrypted segments", change: all(swap(`"segments":\["0"\]`, `"segments":["0","1"]`), swap(`"size":"dynamic"(.*"sector_size":512)\}`, `"size":"4096"$1},"1":{"type":"crypt","offset":"16781312","size":"dynamic","iv_tweak":"8","encryption":"aes-xts-plain64","sector_size":512}`))},
	{name: "data where the header is", change: swap(`"offset":"16777216"`, `"offset":"0"`)},
	{name: "UUID that is a path", change: headerField(168, []byte("../../../etc/passwd\x00")...)},
	{name: "unknown requirement", change: swap(`"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`), want: used},
	{name: "keyslot that takes 4 GiB", change: kdf(`"type":"argon2id","time":4,"memory":4194304,"cpus":4`), want: used},
	{name: "keyslot that takes for ever", change: kdf(`"type":"pbkdf2","hash":"sha256","iterations":2147483647`), want: used},
	{name: "keyslot that takes twice as long", change: kdf(`"type":"pbkdf2","hash":"sha256","iterations":4294967295`), want: used},
	{name: "both copies torn", change: tear(0, 1)},
	{name: "both copies lost", change: lose(0, 1)},
	{name: "first torn, second lost", change: all(tear(0), lose(1))},
	{name: "version 3", change: headerField(7, 3)},
	{name: "version 1 by name only", change: headerField(7, 1)},
	{name: "header of 4 EiB", change: headerField(8, big(1<<62)...)},
	{name: "header of no size", change: headerField(8, big(0)...)},
	{name: "header of 4 MiB", change: headerField(8, big(4<<20)...)},
	{name: "checksum nobody knows", change: headerField(72, []byte("crc32\x00\x00")...)},
	{name: "UUID without end", change: headerField(168, bytes.Repeat([]byte("x"), 40)...)},
	{name: "no JSON", change: text("no JSON")},
	{name: "JSON of nothing", change: text("")},
	{name: "JSON of null", change: text("null")},
	{name: "JSON that goes deep", change: text(strings.Repeat("[", 12000))},
	{name: "JSON that repeats a key", change: swap(`"tokens":`, `"tokens":{},"tokens":`)},
	{name: "JSON with text behind", change: swap(`$`, `{}`)},
	{name: "number of all digits", change: swap(`"key_size":\d+`, `"key_size":`+strings.Repeat("9", 4000))},
	{name: "keyslot in no digest", change: swap(`"keyslots":\["0"\],"segments"`, `"keyslots":[],"segments"`)},
	{name: "area of a type that nobody knows", change: swap(`"type":"raw"`, `"type":"cooked"`)},
	{name: "splitter that nobody knows", change: swap(`"type":"luks1"`, `"type":"luks9"`)},
	{name: "no cipher", change: swap(`("iv_tweak":"0","encryption":")aes-xts-plain64`, `${1}`)},
	{name: "data at the end of numbers", change: swap(`"offset":"16777216"`, `"offset":"18446744073709551104"`)},
	{name: "data behind the partition", change: swap(`"offset":"16777216"`, `"offset":"1099511627776"`)},
	{name: "keyslots over the data", change: swap(`"keyslots_size":"\d+"`, `"keyslots_size":"134217728"`)},
	{name: "sectors of 3 bytes", change: swap(`"sector_size":\d+`, `"sector_size":3`)},
	{name: "digest of a keyslot that is not there", change: swap(`"keyslots":\["0"\]`, `"keyslots":["7"]`)},
	{name: "segment without a digest", change: swap(`"segments":\["0"\]`, `"segments":[]`)},
	{name: "conversion without its state", change: swap(`"config":\{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`)},
}

// TestHostileVolumes: broken and hostile headers of a LUKS2 volume that its definition
// wants encrypted. A whole volume is left alone, and the partition beside it made.
func TestHostileVolumes(t *testing.T) {
	root := makeRoot(t, 20<<20, "a key file", "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2",
		"--pbkdf-force-iterations=1000", "--sector-size=512", "--key-file=-", "FILE")
	suite{golden: "volumes.txt", base: makeDisk(t, root), root: convert, judge: judgeSame, cases: hostileVolumes}.run(t)
}

var hostileConversions = []hostile{
	{name: "nothing wrong", change: nothing, want: used},
	{name: "first copy torn", change: tear(0), want: used},
	{name: "second copy lost", change: lose(1), want: used},
	{name: "both copies torn", change: tear(0, 1)},
	{name: "digest of the conversion changed", change: swap(`("keyslots":\["1"\][^}]*"digest":")....`, `${1}AAAA`)},
	{name: "digest of the conversion gone", change: swap(`"(\d)":\{"type":"pbkdf2","keyslots":\["1"\]`, `"$1":{"type":"pbkdf2","keyslots":[]`)},
	{name: "requirement gone", change: swap(`"mandatory":\["online-reencrypt[^"]*"\]`, `"mandatory":[]`)},
	{name: "nothing tells of the conversion", change: all(swap(`"mandatory":\["online-reencrypt[^"]*"\]`, `"mandatory":[]`), swap(`"type":"reencrypt"`, `"type":"none"`))},
	{name: "requirement unknown", change: swap(`"online-reencrypt[^"]*"`, `"online-reencrypt-v9"`)},
	{name: "shift changed", change: swap(`"shift_size":"\d+"`, `"shift_size":"4096"`)},
	{name: "shift of all numbers", change: swap(`"shift_size":"\d+"`, `"shift_size":"18446744073709551104"`)},
	{name: "direction changed", change: swap(`"direction":"backward"`, `"direction":"forward"`)},
	{name: "mode changed", change: swap(`"mode":"encrypt"`, `"mode":"decrypt"`)},
	{name: "resilience unknown", change: swap(`"type":"datashift`, `"type":"sideways`)},
	{name: "moved segment elsewhere", change: swap(`("type":"linear","offset":")\d+`, `${1}4096`)},
	{name: "segments of other sizes", change: swap(`"size":"16777216"`, `"size":"8388608"`)},
	{name: "backup segments gone", change: swap(`"backup-(final|previous|moved-segment)"`, `"x"`)},
	{name: "keyslot that takes 2 TiB", change: kdf(`"type":"argon2id","time":4,"memory":2147483647,"cpus":4`)},
	{name: "keyslot that takes for ever", change: kdf(`"type":"pbkdf2","hash":"sha256","iterations":2147483647`)},
	{name: "cipher nobody knows", change: swap(`"encryption":"aes-xts-plain64"`, `"encryption":"rot13-ecb"`)},
	{name: "another volume key's digest", change: swap(`("keyslots":\["0"\][^}]*"digest":")....`, `${1}AAAA`)},
}

// TestHostileConversions: the same of a conversion that cryptsetup began. A whole one
// is finished.
func TestHostileConversions(t *testing.T) {
	file := t.TempDir() + "/key"
	if err := os.WriteFile(file, []byte("a key file"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`mkfs.ext4 -q FILE 24M && cryptsetup reencrypt --encrypt --init-only -q --type=luks2 --pbkdf=pbkdf2 \
		--pbkdf-force-iterations=1000 --reduce-device-size=32M --key-file=%s FILE`, file)
	root := makeRoot(t, 56<<20, "", "sh", "-ec", script)
	suite{golden: "conversions.txt", base: makeDisk(t, root), root: convert, judge: judgeFinished, cases: hostileConversions}.run(t)
}

// judgeFinished wants the file system that root held to be whole.
func judgeFinished(t *testing.T, _ []byte) {
	judgeVolume(t)
	tool(t, "", "e2fsck", "-fn", "plain")
}
