package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// keptDefinition wants the chip's key and a file's for new volumes only: a late key is added
// for nothing but the note.
var keptDefinition = map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { key = [{ type = "tpm2", pcrs = [7] }, { type = "file" }] }`}

// forge puts a token into the header of the volume of gapImage, as anybody can who has the
// disk.
func forge(t *testing.T, dev *simdev.Device, token string) {
	t.Helper()
	part, header := gapVolume(t, dev)
	if _, err := header.AddToken(json.RawMessage(token)); err != nil {
		t.Fatal(err)
	}
	if err := header.Commit(part); err != nil {
		t.Fatal(err)
	}
}

// ownVolume is a volume of the file's key, which waits for the chip's where it says so.
func ownVolume(t *testing.T, waits bool) *simdev.Device {
	t.Helper()
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	chips := chip{}
	if waits {
		chips.seal = errGone
	}
	if err := applyWith(t, dev, lateDefinition, nil, chips, tokenless{}); err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestForgedNote: a note without the MAC of the volume's key has nothing done for it, says
// so, and is no failure. Nothing at all is written, and the key is not even sealed.
func TestForgedNote(t *testing.T) {
	type forgery struct {
		token string
		says  string
	}
	for name, f := range map[string]forgery{
		"awaits":          {`{"type":"sealpart-awaits","keyslots":[],"keys":["tpm2"]}`, `it would have keys added (["tpm2"])`},
		"awaits, a MAC":   {`{"type":"sealpart-awaits","keyslots":[],"keys":["tpm2"],"mac":"` + strings.Repeat("00", 32) + `"}`, `it would have keys added (["tpm2"])`},
		"awaits, no text": {`{"type":"sealpart-awaits","keyslots":[],"keys":["tpm2"],"rekeyed":true,"mac":17}`, `it would have keys added (["tpm2"])`},
	} {
		dev := simdev.New(gapImage(t, tpmLess(t)))
		forge(t, dev, f.token)
		before := string(dev.Bytes())
		var said []string
		err := applyTold(t, dev, keptDefinition, nil, heard(&said), chip{seal: errBoom}, tokenless{})
		if err != nil || string(dev.Bytes()) != before {
			t.Errorf("%s: %v, or the disk differs", name, err)
		}
		checkSaid(t, name, said, f.says)
	}
}

// tpmLess is a volume of the file's key, without any note.
func tpmLess(t *testing.T) []byte {
	t.Helper()
	file, key := fileOf(t, make([]byte, gapData.Size)), fileOf(t, []byte(passphrase))
	tool(t, "cryptsetup", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "luksFormat", "--type", "luks2",
		"--offset", "4096", "--luks2-keyslots-size", "2064384", "--key-file", key, file)
	return readFileOf(t, file)
}

// heard collects what is said of notes that are not believed.
func heard(said *[]string) func(Event) {
	return func(e Event) {
		if e.Phase == Distrusted || e.Phase == Left || e.Phase == Unchecked {
			*said = append(*said, fmt.Sprintf("%s: partition %d: %s", e.Phase, e.Partition, e.Step))
		}
	}
}

func checkSaid(t *testing.T, name string, said []string, want string) {
	t.Helper()
	if len(said) != 1 || !strings.Contains(said[0], want) || !strings.HasPrefix(said[0], "distrusted: partition 1: token ") {
		t.Errorf("%s: said %q, want %q", name, said, want)
	}
}

// TestForgedWipe: a note that wants a place on the disk overwritten that is in no use, so that
// nothing but its MAC stands against it, wipes nothing. Where no key opens the volume, nobody
// can say whether a note is genuine: the partition is left, and the run goes on.
func TestForgedWipe(t *testing.T) {
	conversion := map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "convert", key = [{ type = "file" }] }`}
	free := int64(2 * disk.MiB) // the last bytes before the data, which begins there
	token := fmt.Sprintf(`{"type":"sealpart","keyslots":[],"wipe-offset":"%d","wipe-size":"4096"}`, free-4096)
	dev := simdev.New(gapImage(t, tpmLess(t)))
	marked := []byte(strings.Repeat("precious", 512))
	if _, err := dev.WriteAt(marked, int64(gapData.Offset)+free-4096); err != nil {
		t.Fatal(err)
	}
	forge(t, dev, token)
	before := string(dev.Bytes())
	var said []string
	if err := applyTold(t, dev, conversion, nil, heard(&said), tokenless{}); err != nil || string(dev.Bytes()) != before {
		t.Errorf("%v, or the disk differs", err)
	}
	checkSaid(t, "wipe", said, "it would have a place on the disk overwritten")

	said = nil
	if err := applyTold(t, dev, conversion, nil, heard(&said)); err != nil || string(dev.Bytes()) != before {
		t.Errorf("no key: %v, or the disk differs", err)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "left: partition 1: old data that its conversion left is not wiped yet: the volume must be opened for that: no key opens") {
		t.Errorf("no key: said %q", said)
	}
}

// TestNoteIsBound: a note is genuine only as it was written, in the header and for the
// keyslot that it was written for.
func TestNoteIsBound(t *testing.T) {
	v, another := boundVolume(t, "6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a"), boundVolume(t, "6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6b")
	defer v.wipe()
	defer another.wipe()
	sign := func(text string) string {
		note, err := signNote(v.header, v.key, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(note)
	}
	note := sign(`{"type":"sealpart-file","keyslots":["0"],"n":12345678901234567890}`)
	reordered := strings.Replace(strings.Replace(note, `{"keyslots":["0"],`, `{ "x":0,`, 1), `"x":0,`, `"keyslots" : [ "0" ], `, 1)
	judge := func(on *volume, text string) bool { return genuine(on.header, v.key, luks2.Token{Raw: []byte(text)}) }
	for name, c := range map[string]struct {
		on   *volume
		text string
		want bool
	}{
		"as written":          {v, note, true},
		"written by another":  {v, reordered, true},
		"another header":      {another, note, false},
		"another keyslot":     {v, strings.Replace(note, `"0"`, `"1"`, 1), false},
		"no keyslot":          {v, strings.Replace(note, `"0"`, ``, 1), false},
		"another number":      {v, strings.Replace(note, `67890`, `67891`, 1), false},
		"another type":        {v, strings.Replace(note, `-file`, `-awaits`, 1), false},
		"a member more":       {v, strings.Replace(note, `{`, `{"rekeyed":true,`, 1), false},
		"a shorter MAC":       {v, note[:len(note)-80] + note[len(note)-78:], false},
		"no MAC":              {v, `{"type":"sealpart-file","keyslots":["0"]}`, false},
		"no JSON":             {v, `{`, false},
		"keyslots not a list": {v, `{"type":"sealpart-file","keyslots":{}}`, false},
	} {
		if got := judge(c.on, c.text); got != c.want {
			t.Errorf("%s: genuine: %v\n%s", name, got, c.text)
		}
	}
	other, err := secret.Take(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Wipe()
	if genuine(v.header, other, luks2.Token{Raw: []byte(note)}) || genuine(v.header, nil, luks2.Token{Raw: []byte(note)}) {
		t.Error("genuine under another key, or none")
	}
	// The same number, made anew: another keyslot.
	if err := v.header.DropKeyslot(0); err != nil {
		t.Fatal(err)
	}
	if _, err := v.header.AddKeyslot(t.Context(), v.device, v.key.Bytes(), []byte("new"), luks2.TokenKDF(), testEnv(t).Random); err != nil {
		t.Fatal(err)
	}
	if judge(v, note) {
		t.Error("genuine for a keyslot that came in the place of the one that was marked")
	}
}

// boundVolume is a volume with two keyslots, in memory.
func boundVolume(t *testing.T, id string) *volume {
	t.Helper()
	e := stubEncryption(2*disk.MiB, 512)
	if err := e.UUID.UnmarshalText([]byte(id)); err != nil {
		t.Fatal(err)
	}
	e.Keys = append(e.Keys, definitions.Key{Type: "stub"})
	v, err := newVolume(context.Background(), testEnv(t), e)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNotesKeptApart: a note that is not genuine neither names keys for the one that is
// written, nor is it touched.
func TestNotesKeptApart(t *testing.T) {
	dev := ownVolume(t, true)
	forge(t, dev, `{"type":"sealpart-awaits","keyslots":[],"keys":["command evil"],"rekeyed":true}`)
	var said []string
	if err := applyTold(t, dev, lateDefinition, nil, heard(&said), chip{}, tokenless{}); err != nil {
		t.Fatal(err)
	}
	checkSaid(t, "two notes", said, `it would have keys added (["command evil"])`)
	header := gapHeader(t, dev)
	if notes := notesOf(header, disk.TokenAwaits); len(notes) != 1 || !strings.Contains(string(notes[0].Raw), "command evil") {
		t.Errorf("notes: %v", notes)
	}
}
