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
	{"nothing wrong", nothing, used},
	{"first copy torn", tear(0), used},
	{"second copy torn", tear(1), used},
	{"first copy lost", lose(0), used},
	{"second copy lost", lose(1), used},
	{"token of garbage", swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"systemd-tpm2","keyslots":["0"],"tpm2-pcrs":"x","tpm2-blob":[1,{}],"tpm2-pcr-bank":7,"tpm2-pin":"no"}}`), used},
	{"token that steers a terminal", swap(`"tokens":\{\}`, `"tokens":{"0":{"type":"\u001b[2J","keyslots":["0"]}}`), used},
	{"cipher that steers a terminal", swap(`aes-xts-plain64`, `\u001b[2Jxx\n`), used},
	{"unknown requirement", swap(`"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`), used},
	{"keyslot that takes 4 GiB", kdf(`"type":"argon2id","time":4,"memory":4194304,"cpus":4`), used},
	{"keyslot that takes for ever", kdf(`"type":"pbkdf2","hash":"sha256","iterations":2147483647`), used},
	{"keyslot that takes twice as long", kdf(`"type":"pbkdf2","hash":"sha256","iterations":4294967295`), refused},
	{"both copies torn", tear(0, 1), refused},
	{"both copies lost", lose(0, 1), refused},
	{"first torn, second lost", all(tear(0), lose(1)), refused},
	{"version 3", headerField(7, 3), refused},
	{"version 1 by name only", headerField(7, 1), refused},
	{"header of 4 EiB", headerField(8, big(1<<62)...), refused},
	{"header of no size", headerField(8, big(0)...), refused},
	{"header of 4 MiB", headerField(8, big(4<<20)...), refused},
	{"checksum nobody knows", headerField(72, []byte("crc32\x00\x00")...), refused},
	{"UUID without end", headerField(168, bytes.Repeat([]byte("x"), 40)...), refused},
	{"no JSON", text("no JSON"), refused},
	{"JSON of nothing", text(""), refused},
	{"JSON of null", text("null"), refused},
	{"JSON that goes deep", text(strings.Repeat("[", 12000)), refused},
	{"JSON that repeats a key", swap(`"tokens":`, `"tokens":{},"tokens":`), refused},
	{"JSON with text behind", swap(`$`, `{}`), refused},
	{"number of all digits", swap(`"key_size":\d+`, `"key_size":`+strings.Repeat("9", 4000)), refused},
	{"data at the end of numbers", swap(`"offset":"16777216"`, `"offset":"18446744073709551104"`), refused},
	{"data behind the partition", swap(`"offset":"16777216"`, `"offset":"1099511627776"`), refused},
	{"keyslots over the data", swap(`"keyslots_size":"\d+"`, `"keyslots_size":"134217728"`), refused},
	{"sectors of 3 bytes", swap(`"sector_size":\d+`, `"sector_size":3`), refused},
	{"digest of a keyslot that is not there", swap(`"keyslots":\["0"\]`, `"keyslots":["7"]`), refused},
	{"segment without a digest", swap(`"segments":\["0"\]`, `"segments":[]`), refused},
	{"conversion without its state", swap(`"config":\{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`), refused},
}

// TestHostileVolumes: broken and hostile headers of a LUKS2 volume that its definition
// wants encrypted. A whole volume is left alone, and the partition beside it made.
func TestHostileVolumes(t *testing.T) {
	root := makeRoot(t, 20<<20, "a key file", "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2",
		"--pbkdf-force-iterations=1000", "--sector-size=512", "--key-file=-", "FILE")
	suite{golden: "volumes.txt", base: makeDisk(t, root), root: convert, judge: judgeSame, cases: hostileVolumes}.run(t)
}

var hostileConversions = []hostile{
	{"nothing wrong", nothing, used},
	{"first copy torn", tear(0), used},
	{"second copy lost", lose(1), used},
	{"both copies torn", tear(0, 1), refused},
	{"digest of the conversion changed", swap(`("keyslots":\["1"\][^}]*"digest":")....`, `${1}AAAA`), stopped},
	{"digest of the conversion gone", swap(`"(\d)":\{"type":"pbkdf2","keyslots":\["1"\]`, `"$1":{"type":"pbkdf2","keyslots":[]`), stopped},
	{"requirement gone", swap(`"mandatory":\["online-reencrypt[^"]*"\]`, `"mandatory":[]`), refused},
	{"nothing tells of the conversion", all(swap(`"mandatory":\["online-reencrypt[^"]*"\]`, `"mandatory":[]`), swap(`"type":"reencrypt"`, `"type":"none"`)), refused},
	{"requirement unknown", swap(`"online-reencrypt[^"]*"`, `"online-reencrypt-v9"`), refused},
	{"shift changed", swap(`"shift_size":"\d+"`, `"shift_size":"4096"`), refused},
	{"shift of all numbers", swap(`"shift_size":"\d+"`, `"shift_size":"18446744073709551104"`), refused},
	{"direction changed", swap(`"direction":"backward"`, `"direction":"forward"`), stopped},
	{"mode changed", swap(`"mode":"encrypt"`, `"mode":"decrypt"`), refused},
	{"resilience unknown", swap(`"type":"datashift`, `"type":"sideways`), refused},
	{"moved segment elsewhere", swap(`("type":"linear","offset":")\d+`, `${1}4096`), refused},
	{"segments of other sizes", swap(`"size":"16777216"`, `"size":"8388608"`), refused},
	{"backup segments gone", swap(`"backup-(final|previous|moved-segment)"`, `"x"`), refused},
	{"keyslot that takes 2 TiB", kdf(`"type":"argon2id","time":4,"memory":2147483647,"cpus":4`), stopped},
	{"keyslot that takes for ever", kdf(`"type":"pbkdf2","hash":"sha256","iterations":2147483647`), stopped},
	{"cipher nobody knows", swap(`"encryption":"aes-xts-plain64"`, `"encryption":"rot13-ecb"`), stopped},
	{"another volume key's digest", swap(`("keyslots":\["0"\][^}]*"digest":")....`, `${1}AAAA`), stopped},
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
