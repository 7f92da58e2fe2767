package executor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// judgedStates are volumes in the states that a header has, all opened by "first".
func judgedStates(t testing.TB) (states [][]byte) {
	for _, convert := range [][]string{
		nil,
		{"reencrypt", "--init-only", "--resilience", "checksum"},
		{"reencrypt", "--init-only", "--resilience", "journal"},
		{"reencrypt", "--init-only", "--resilience", "none"},
	} {
		v := newLUKSVolume(t)
		if convert != nil {
			v.run("luksKillSlot", "--key-file", v.key("first"), v.path, "1")
			v.run(append(convert, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", v.key("first"), v.path)...)
		}
		states = append(states, v.bytes())
	}
	plain := luksVolume{t, newLUKSVolume(t).path}
	if err := os.WriteFile(plain.path, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	plain.run("reencrypt", "--encrypt", "--init-only", "--type", "luks2", "--reduce-device-size", "4M", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", plain.key("first"), plain.path)
	return append(states, plain.bytes())
}

// respelled changes members of the JSON of both copies of a header: which of all, and
// what it becomes, say the bytes of plan, or text.
func respelled(image, plan []byte, text string) []byte {
	image = bytes.Clone(image)
	var root map[string]any
	if json.Unmarshal(bytes.TrimRight(image[4096:16384], "\x00"), &root) != nil {
		return image
	}
	for ; len(plan) >= 3; plan = plan[3:] {
		respell(root, plan, text)
	}
	changed, err := json.Marshal(root)
	if err != nil || len(changed) > 12287 {
		return image
	}
	for which := range 2 {
		header := image[which*16384:][:16384]
		clear(header[4096:])
		copy(header[4096:], changed)
		clear(header[luks2.ChecksumOffset:luks2.ChecksumEnd])
		sum := sha256.Sum256(header)
		copy(header[luks2.ChecksumOffset:], sum[:])
	}
	return image
}

// respell changes one member of an object.
func respell(root map[string]any, plan []byte, text string) {
	type place struct {
		in   map[string]any
		name string
	}
	var places []place
	var collect func(map[string]any)
	collect = func(o map[string]any) {
		var names []string
		for name := range o {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			places = append(places, place{o, name})
			if inner, is := o[name].(map[string]any); is {
				collect(inner)
			}
		}
	}
	collect(root)
	at := places[(int(plan[0])<<8|int(plan[1]))%len(places)]
	other := places[int(plan[2])%len(places)]
	switch plan[2] % 6 {
	case 0:
		delete(at.in, at.name)
	case 1:
		at.in[at.name] = other.in[other.name]
		if _, is := at.in[at.name].(map[string]any); is {
			at.in[at.name] = "" // an object must not hold itself
		}
	case 2:
		at.in[at.name] = float64(int(plan[2]) * 512)
	case 3:
		at.in[at.name] = []any{"0", "1"}[:plan[2]/6%3]
	default:
		at.in[at.name] = text
	}
}

// FuzzJudge changes headers in every state and then opens, plans, exports and goes on
// with what they say: nothing is written outside the partition, and nothing is opened
// that is not one encrypted segment, or a conversion that the keys vouch for.
func FuzzJudge(f *testing.F) {
	states := judgedStates(f)
	for i := range states {
		f.Add(uint8(i), []byte{}, "")
		for n := range 60 {
			f.Add(uint8(i), []byte{0, byte(n), byte(4 + 6*(n%3))}, []string{"linear", "cipher_null-ecb", "4096"}[n%3])
		}
	}
	const before = 1 << 20
	f.Fuzz(func(t *testing.T, state uint8, plan []byte, text string) {
		if len(plan) > 12 || strings.Contains(text, "argon2") {
			return
		}
		volume := respelled(states[int(state)%len(states)], plan, text)
		image := bytes.Repeat([]byte{0xA5}, len(volume)+2*before)
		copy(image[before:], volume)
		dev := simdev.New(image)
		extent := disk.Extent{Offset: before, Size: disk.Bytes(len(volume))}
		part, err := blockdev.NewSection(dev, extent)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		env := Env{Sealers: []Sealer{watched{passphrase: "first", asked: &asked}}, Keys: []definitions.Key{{Type: "file"}}, Random: testEnv(t).Random, TempDir: t.TempDir(), Workers: 1}
		fuzzOpen(t, env, part)
		_ = Export(t.Context(), env, part, io.Discard)
		if _, err := probe.Content(part, part.Size()); err != nil {
			t.Fatal(err)
		}
		if len(dev.Log()) > 0 {
			t.Fatal("to look at it wrote")
		}
		c := newConversion(env, newPipeline(1), part, planner.Reencrypt{Mode: planner.ModeRekey, Extent: extent, Resume: true, Shift: 2 << 20, DataSize: extent.Size})
		_ = c.resume(t.Context())
		_, _ = ChangeKeys(t.Context(), env, part, planner.KeyChange{Remove: []int{1}})
		now := dev.Bytes()
		if !bytes.Equal(now[:before], image[:before]) || !bytes.Equal(now[extent.End():], image[extent.End():]) {
			t.Fatal("bytes outside the partition have changed")
		}
	})
}

// fuzzOpen opens as far as it goes without a kernel.
func fuzzOpen(t *testing.T, env Env, part blockdev.Device) {
	header, err := luks2.Read(part, int64(part.Size()))
	if err != nil {
		return
	}
	v := &opening{header: header, part: part, plain: map[luks2.Holds]*secret.Buffer{}, keys: map[luks2.Holds]*dm.Key{}}
	v.unlock = func(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
		return unlock(ctx, env, header, part, what)
	}
	a, err := v.verified(t.Context())
	defer v.dropKeys()
	if err != nil {
		return
	}
	for _, s := range a.Segments {
		if s.Type != "crypt" && a.Reencryption == nil || s.Type == "crypt" && strings.Contains(s.Encryption, "null") {
			t.Fatalf("opened: %+v", s)
		}
	}
	if a.Reencryption == nil && len(a.Segments) != 1 {
		t.Fatalf("opened: %+v", a.Segments)
	}
	if r := a.Reencryption; r != nil && r.State != luks2.Unfinished {
		if err := header.VerifyReencryption(t.Context(), v.plain[luks2.HoldsPrevious].Bytes(), v.plain[luks2.HoldsFinal].Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}
