package luks2

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// cheap are the options that keep cryptsetup's own keyslots fast.
var cheap = []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}

// kdfs are the three that the format knows.
var kdfs = []KDF{
	{Type: "pbkdf2", Hash: "sha1", Iterations: 1000},
	{Type: "pbkdf2", Hash: "sha256", Iterations: 1000},
	TokenKDF(),
	{Type: "argon2id", Time: 4, MemoryKiB: 64, CPUs: 4},
	{Type: "argon2i", Time: 5, MemoryKiB: 33, CPUs: 1},
}

func TestCryptsetupOpensOurs(t *testing.T) {
	for _, size := range []int{32, 64} {
		for i, k := range kdfs {
			t.Run(fmt.Sprintf("%d-%s-%s", size, k.Type, k.Hash), func(t *testing.T) {
				img := newImage(t, 24*mib)
				o := options(16*mib, 512<<(i%4))
				o.KeySize = size
				h, err := Format(o)
				check(t, err)
				key := random(t, int64(size))
				check(t, h.FillKeyslotsArea(img, rand.Reader))
				id, err := h.AddKeyslot(t.Context(), img, key, []byte(passphrase), k, rand.Reader)
				check(t, err)
				equal(t, "id", id, 0)
				check(t, h.Commit(img))
				img.opens(passphrase)
				if _, err := img.try("open", "--test-passphrase", "--key-file", img.key("wrong"), img.Name()); err == nil {
					t.Fatal("cryptsetup opens with a wrong passphrase")
				}
				vk := filepath.Join(t.TempDir(), "vk")
				img.run("luksDump", "--dump-volume-key", "--volume-key-file", vk, "--key-file", img.key(passphrase), img.Name())
				equal(t, "key", readFile(t, vk), string(key))
			})
		}
	}
}

// luksDump is what cryptsetup sees, as far as it is compared.
type luksDump struct {
	Keyslots map[string]struct {
		Type    string
		KeySize int `json:"key_size"`
		Area    struct{ Offset, Size, Encryption string }
		KDF     struct{ Type, Hash string }
		AF      struct{ Hash string }
	}
	Segments map[string]struct {
		Type, Offset, Size, Encryption string
		SectorSize                     int `json:"sector_size"`
	}
	Digests map[string]struct{ Keyslots, Segments []string }
	Tokens  map[string]json.RawMessage
	Config  struct {
		JSONSize     string `json:"json_size"`
		KeyslotsSize string `json:"keyslots_size"`
		Flags        []string
	}
}

func (i image) dump() (d luksDump) {
	i.t.Helper()
	check(i.t, json.Unmarshal([]byte(i.run("luksDump", "--dump-json-metadata", i.Name())), &d))
	return d
}

func TestFormatAsCryptsetupDoes(t *testing.T) {
	theirs, ours := newImage(t, 20*mib), newImage(t, 20*mib)
	theirs.run(append([]string{"luksFormat", "--hash", "sha512", "--sector-size", "4096", "--key-file", theirs.key(passphrase), theirs.Name()}, cheap...)...)
	theirs.run("config", "--label", "test", theirs.Name())
	h, err := Format(options(16*mib, 4096))
	check(t, err)
	_, err = h.AddKeyslot(t.Context(), ours, random(t, 64), []byte(passphrase), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.Commit(ours))
	equal(t, "metadata", ours.dump(), theirs.dump())
	want := theirs.read()
	equal(t, "label", h.Label, want.Label)
	equal(t, "size", h.HeaderSize, want.HeaderSize)
}

func TestWeOpenTheirs(t *testing.T) {
	for _, args := range [][]string{
		cheap,
		{"--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "64"},
		{"--pbkdf", "argon2i", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "1000", "--pbkdf-parallel", "1"},
		append([]string{"--hash", "sha384", "--key-size", "256", "--sector-size", "512", "--luks2-metadata-size", "64k"}, cheap...),
		append([]string{"--hash", "sha1", "--label", "ü<&>", "--subsystem", "sub"}, cheap...),
	} {
		t.Run(strings.Join(args[:4], " "), func(t *testing.T) {
			img := newImage(t, 24*mib)
			vk := img.key(string(random(t, 64)))
			if args[2] == "--key-size" {
				vk = img.key(string(random(t, 32)))
			}
			img.run(append([]string{"luksFormat", "--volume-key-file", vk, "--key-file", img.key(passphrase), img.Name()}, args...)...)
			h := img.read()
			key, slot, err := h.Open(t.Context(), img, []byte(passphrase))
			check(t, err)
			equal(t, "slot", slot, 0)
			equal(t, "key", string(key), readFile(t, vk))
			check(t, h.VerifyKey(t.Context(), key))
			equal(t, "key size", h.KeySize(), len(key))
			_, _, err = h.Open(t.Context(), img, []byte("wrong"))
			if !errors.Is(err, ErrWrongPassphrase) {
				t.Fatal(err)
			}
			key[0]++
			if err := h.VerifyKey(t.Context(), key); err != ErrWrongKey {
				t.Fatal(err)
			}
		})
	}
}

func TestOtherAreaCipherSaysSo(t *testing.T) {
	img := newImage(t, 24*mib)
	img.run(append([]string{"luksFormat", "--cipher", "aes-cbc-essiv:sha256", "--key-size", "256", "--key-file", img.key(passphrase), img.Name()}, cheap...)...)
	h := img.read()
	equal(t, "cipher", h.Cipher(), "aes-cbc-essiv:sha256")
	_, _, err := h.Open(t.Context(), img, []byte(passphrase))
	wants(t, err, `open keyslot 0: keyslot area cipher "aes-cbc-essiv:sha256" is not supported, only aes-xts-plain64 is`)
}

func TestBothAddAndRemoveKeyslots(t *testing.T) {
	img := newImage(t, 24*mib)
	_, key := img.format(options(16*mib, 512))
	img.run(append([]string{"luksAddKey", "--key-file", img.key(passphrase), img.Name(), img.key("theirs")}, cheap...)...)
	h := img.read()
	opened, slot, err := h.Open(t.Context(), img, []byte("theirs"))
	check(t, err)
	equal(t, "slot", slot, 1)
	equal(t, "key", opened, key)
	id, err := h.AddKeyslot(t.Context(), img, key, []byte("ours"), kdfs[3], rand.Reader)
	check(t, err)
	equal(t, "id", id, 2)
	if _, err := h.AddKeyslot(t.Context(), img, random(t, 64), []byte("x"), TokenKDF(), rand.Reader); !errors.Is(err, ErrWrongKey) {
		t.Fatal(err)
	}
	check(t, h.Commit(img))
	img.opens("ours")
	for _, gone := range []int{0, 1} {
		check(t, h.RemoveKeyslot(img, gone, rand.Reader))
	}
	wants(t, h.RemoveKeyslot(img, 2, rand.Reader), "keyslot 2 is the last one that opens the volume")
	img.opens("ours")
	equal(t, "keyslots", len(img.dump().Keyslots), 1)
	img.run("luksKillSlot", "--key-file", img.key("ours"), img.Name(), "2")
}

func TestTokens(t *testing.T) {
	img := newImage(t, 24*mib)
	h, _ := img.format(options(16*mib, 512))
	raw := json.RawMessage(`{"type":"sealpart","keyslots":["0"],"x":{"b":[1.50,"<é>"],"a":null}}`)
	id, err := h.AddToken(raw)
	check(t, err)
	_, err = h.AddToken(json.RawMessage(`{"type":"note","keyslots":[]}`))
	check(t, err)
	check(t, h.Commit(img))
	img.run("token", "import", "--json-file", img.key(`{"type":"theirs","keyslots":["0"]}`), img.Name())
	h = img.read()
	equal(t, "token", h.Tokens()[id], Token{ID: 0, Type: "sealpart", Keyslots: []int{0}, Raw: raw})
	equal(t, "count", len(h.Tokens()), 3)
	check(t, h.SetToken(1, json.RawMessage(`{"type":"other","keyslots":[]}`)))
	check(t, h.RemoveToken(2))
	check(t, h.Commit(img))
	tokens := img.dump().Tokens
	equal(t, "count", len(tokens), 2)
	var note struct{ Type string }
	check(t, json.Unmarshal(tokens["1"], &note))
	equal(t, "token 1", note.Type, "other")
}

func TestTokensRefused(t *testing.T) {
	img := newImage(t, 24*mib)
	h, _ := img.format(options(16*mib, 512))
	for raw, text := range map[string]string{
		`{"type":"a"}`:                          "this header would be invalid: token 0: keyslots is missing",
		`{"keyslots":[]}`:                       "this header would be invalid: token 0: type is missing",
		`{"type":"a","keyslots":["7"]}`:         "this header would be invalid: token 0: keyslot 7 does not exist",
		`{"type":"a","keyslots":[0]}`:           "this header would be invalid: token 0: keyslots is not an array of strings",
		`{"type":"luks2-x","keyslots":[]}`:      `token 0: type "luks2-x" belongs to cryptsetup`,
		`[]`:                                    "token 0: not a JSON object",
		`{`:                                     "token 0: not valid JSON, or nested too deep",
		`{"type":"a","keyslots":[]} x`:          "token 0: not valid JSON, or nested too deep",
		strings.Repeat("[", 40):                 "token 0: not valid JSON, or nested too deep",
		`{"type":"a","type":"b","keyslots":[]}`: `token 0: key "type" is there twice`,
	} {
		_, err := h.AddToken(json.RawMessage(raw))
		wants(t, err, text)
	}
	_, err := h.AddToken(json.RawMessage(`{"type":"a","keyslots":[],"x":"` + strings.Repeat("y", 12288) + `"}`))
	if err == nil || !strings.HasSuffix(err.Error(), "the header has room for 12287") {
		t.Fatal(err)
	}
	wants(t, h.RemoveToken(0), "there is no token 0")
	wants(t, h.SetToken(32, nil), "token id 32 is not from 0 to 31")
	equal(t, "tokens", len(h.Tokens()), 0)
}

func TestUnknownKeysAreKept(t *testing.T) {
	img := newImage(t, 24*mib)
	h, key := img.format(options(16*mib, 512))
	odd := json.RawMessage(`{"deep":[1.0,{"z":"\u0041/"}]}`)
	tr := h.tree.clone()
	tr.top = tr.top.with("odd", odd)
	tr.config = tr.config.with("odd", odd).with("flags", jsonStrings([]string{"allow-discards", "odd-flag"}))
	tr.keyslots[0], tr.digests[0], tr.segments[0] = tr.keyslots[0].with("odd", odd), tr.digests[0].with("odd", odd), tr.segments[0].with("odd", odd)
	check(t, h.adopt(tr))
	check(t, h.Commit(img))
	img.opens(passphrase)
	h = img.read()
	_, err := h.AddKeyslot(t.Context(), img, key, []byte("second"), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.Commit(img))
	img.opens("second")
	tr = img.read().tree
	for _, o := range []object{tr.top, tr.config, tr.keyslots[0], tr.digests[0], tr.segments[0]} {
		equal(t, "odd", string(o.get("odd")), string(odd))
	}
	equal(t, "flags", h.Flags(), []string{"allow-discards", "odd-flag"})
}

func TestCalibrate(t *testing.T) {
	k := CalibrateArgon2id(20e6, 8<<10)
	check(t, k.check())
	if k.MemoryKiB > 8<<10 {
		t.Fatalf("%+v uses more memory than allowed", k)
	}
	check(t, CalibrateArgon2id(0, 0).check())
	check(t, CalibrateArgon2id(1<<62, 1<<30).check())
}
