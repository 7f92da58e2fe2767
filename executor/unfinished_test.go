package executor

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
)

// unfinishedRekey is a rekey after its last zone, as cryptsetup leaves it when it dies there.
func unfinishedRekey(t *testing.T) *world {
	t.Helper()
	whole := modes[4].newWorld(t)
	if err := whole.run(t); err != nil {
		t.Fatal(err)
	}
	w := whole.allWritten(t)
	w.spring(t)
	return w
}

// TestUnfinishedWithoutOldKey: after the last zone the old key's keyslots go one by one, and
// with the last of them the record can be verified no more. It is finished all the same, no
// data is written, and no keyslot goes of which nothing proves that it is the old key's: whoever
// has the disk can write that it is.
func TestUnfinishedWithoutOldKey(t *testing.T) {
	for name, c := range map[string]struct {
		change func(old luks2.Keyslot, w *world) error
		kept   bool
	}{
		"gone": {func(old luks2.Keyslot, w *world) error {
			w.part = simdev.New(withoutKeyslot(t, w.part.Bytes(), strconv.Itoa(old.ID)))
			w.home = w.part
			return nil
		}, false},
		"does not open": {func(old luks2.Keyslot, w *world) error {
			_, err := w.home.WriteAt(make([]byte, old.AreaSize), old.AreaOffset)
			return err
		}, true},
		"opens": {func(luks2.Keyslot, *world) error { return nil }, false},
	} {
		w := unfinishedRekey(t)
		header, err := luks2.Read(w.home, int64(w.home.Size()))
		if err != nil {
			t.Fatal(err)
		}
		var old luks2.Keyslot
		for _, s := range header.Keyslots() {
			if s.Holds == luks2.HoldsPrevious {
				old = s
			}
		}
		if err := c.change(old, w); err != nil {
			t.Fatal(name, err)
		}
		before := string(w.part.Bytes()[w.dataOffset():])
		if err := w.run(t); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		header = w.checkData(t, passphrase, name)
		if string(w.part.Bytes()[w.dataOffset():]) != before {
			t.Errorf("%s: data was written", name)
		}
		kept := false
		for _, s := range header.Keyslots() {
			kept = kept || s.ID == old.ID && s.AreaOffset == old.AreaOffset && s.Holds == luks2.HoldsOther
		}
		if kept != c.kept {
			t.Errorf("%s: keyslot %d is kept: %v", name, old.ID, kept)
		}
	}
}

// TestResumeWritable: a conversion of a volume that requires what is not known is not gone
// on with, in no state; no key is asked for.
func TestResumeWritable(t *testing.T) {
	whole := modes[4].newWorld(t)
	if err := whole.run(t); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*world{"clean": whole.halfway(luks2.Clean), "hot": whole.halfway(luks2.Crash), "unfinished": unfinishedRekey(t), "finished": whole} {
		image, asked := w.part.Bytes(), 0
		pattern, with := `"mandatory":\[`, `"mandatory":["new-thing",`
		if name == "finished" {
			pattern, with = `"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`
		}
		hostile := *w
		hostile.part = simdev.New(forged(t, image, pattern, with))
		hostile.home, hostile.order = hostile.part, nil
		c := hostile.conversion(t)
		c.env.Sealers, c.env.Keys = []Sealer{watched{passphrase: passphrase, asked: &asked}}, []definitions.Key{{Type: "file"}}
		err := c.resume(t.Context())
		if err == nil || !strings.Contains(err.Error(), `the header requires "new-thing", which is not known here, so it must not be changed`) || asked > 0 || len(hostile.part.Log()) > 0 {
			t.Errorf("%s: %v, asked %d times, %d operations", name, err, asked, len(hostile.part.Log()))
		}
		x := &run{env: c.env, dev: simTarget{hostile.part, true}, left: map[int]bool{}}
		c.action.Resume, c.action.Room = true, ""
		if _, err := x.judge(t.Context(), c.action); err == nil || !strings.Contains(err.Error(), `requires "new-thing"`) || asked > 0 {
			t.Errorf("%s: the keys: %v, asked %d times", name, err, asked)
		}
	}
}

// withoutKeyslot takes a keyslot out of both copies of a header, as cryptsetup takes the old
// key's.
func withoutKeyslot(t *testing.T, image []byte, id string) []byte {
	t.Helper()
	for which := range 2 {
		header := image[which*16384:][:16384]
		text := bytes.TrimRight(header[4096:], "\x00")
		var root map[string]any
		if err := json.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		delete(root["keyslots"].(map[string]any), id)
		for _, kind := range []string{"digests", "tokens"} {
			for _, o := range root[kind].(map[string]any) {
				o := o.(map[string]any)
				o["keyslots"] = slices.DeleteFunc(o["keyslots"].([]any), func(slot any) bool { return slot == id })
			}
		}
		changed, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		reseal(header, changed)
	}
	return image
}
