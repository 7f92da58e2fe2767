package executor

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// commitTheirs is another program's commit of a header, which it changes harmlessly.
func commitTheirs(t *testing.T, home blockdev.Device) {
	t.Helper()
	header, err := luks2.Read(home, int64(home.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := header.AddToken([]byte(`{"type":"theirs","keyslots":[]}`)); err != nil {
		t.Fatal(err)
	}
	if err := header.Commit(home); err != nil {
		t.Fatal(err)
	}
}

// TestJudgedHeaderIsTheOne: what a conversion is gone on from is the header that was judged. One that
// another program puts in its place meanwhile is not acted upon, whatever it says.
func TestJudgedHeaderIsTheOne(t *testing.T) {
	for _, m := range modes {
		if m.detached {
			continue // its file is opened by name: TestDetached
		}
		whole := m.newWorld(t)
		if err := whole.run(t); err != nil {
			t.Fatal(err)
		}
		for _, state := range []luks2.State{luks2.Clean, luks2.Crash} {
			w := whole.halfway(state)
			c, _ := w.judgedConversion(t)
			if err := c.resume(t.Context()); err != nil {
				t.Fatalf("%s, %v: %v", m.name, state, err)
			}
			w.checkData(t, passphrase, m.name)
			w = whole.halfway(state)
			c, x := w.judgedConversion(t)
			commitTheirs(t, w.part)
			left := w.part.Bytes()
			var overtaken *overtakenError
			if err := c.resume(t.Context()); !errors.As(err, &overtaken) || !bytes.Equal(w.part.Bytes(), left) {
				t.Errorf("%s, %v: %v", m.name, state, err)
			}
			x.wipe()
		}
	}
}

// judgedConversion is a conversion that is gone on with, and was judged.
func (w *world) judgedConversion(t *testing.T) (*conversion, *run) {
	t.Helper()
	c := w.conversion(t)
	c.action.Resume = true
	x := newRun(c.env, simTarget{w.part, true}, &plan.Plan{Actions: []plan.Action{c.action}}, disk.Snapshot{})
	j, err := x.judge(t.Context(), c.action)
	if err != nil {
		t.Fatal(err)
	}
	x.resumed[1] = j
	c.judged, c.keys = j, j.keys
	return c, x
}

// TestStagedHeaderIsTheOne: the same while the header is in its image behind the data.
func TestStagedHeaderIsTheOne(t *testing.T) {
	image := claimed(t)
	for name, meddle := range map[string]func(dev *simdev.Device, staged *blockdev.Section){
		"":              func(*simdev.Device, *blockdev.Section) {},
		"another image": func(_ *simdev.Device, staged *blockdev.Section) { commitTheirs(t, staged) },
		"a header in its place": func(dev *simdev.Device, staged *blockdev.Section) {
			p := make([]byte, crashShift)
			if _, err := staged.ReadAt(p, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := dev.WriteAt(p, 0); err != nil {
				t.Fatal(err)
			}
			commitTheirs(t, dev)
		},
	} {
		dev := simdev.New(image)
		c, _ := shiftOf(t, dev)
		c.action.Resume = true
		x := newRun(c.env, simTarget{dev, true}, &plan.Plan{Actions: []plan.Action{c.action}}, disk.Snapshot{})
		j, err := x.judge(t.Context(), c.action)
		if err != nil || j.staged == nil {
			t.Fatal(name, err)
		}
		c.judged, c.keys = j, j.keys
		staged, err := c.stagedSection()
		if err != nil {
			t.Fatal(err)
		}
		meddle(dev, staged)
		left := dev.Bytes()
		err = c.resume(t.Context())
		if name == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, luks2.ErrChanged) || !bytes.Equal(dev.Bytes(), left) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// claimed returns a disk whose conversion a power cut stopped right after its claim.
func claimed(t *testing.T) []byte {
	t.Helper()
	plain := append(extImage(t, crashData), make([]byte, crashDisk-crashData)...)
	for n := 1; ; n++ {
		dev := simdev.New(plain).FailAt(n, errBoom, false)
		c, v := shiftOf(t, dev)
		if err := c.begin(t.Context(), v); err == nil {
			t.Fatal("no cut leaves a staged header alone")
		}
		c, _ = shiftOf(t, simdev.New(dev.Bytes()))
		if _, staged, err := c.findHeader(); err == nil && staged != nil {
			return dev.Bytes()
		}
	}
}

// TestVolumeSwappedBeforeItsLock: which lock is taken, the header says; one of another
// volume, under that lock, is not acted upon.
func TestVolumeSwappedBeforeItsLock(t *testing.T) {
	rekey := modes[4].newWorld(t)
	begun := modes[4].newWorld(t)
	if err := begun.run(t); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*world{"begins": rekey, "goes on": begun.halfway(luks2.Clean)} {
		c := w.conversion(t)
		c.action.Resume, c.action.Room = name == "goes on", ""
		x := newRun(c.env, simTarget{w.part, true}, &plan.Plan{Actions: []plan.Action{c.action}}, disk.Snapshot{})
		if err := x.holdVolume(t.Context(), c.action); err != nil {
			t.Fatal(err)
		}
		left := bytes.ReplaceAll(w.part.Bytes(), []byte("6b1f0c2e"), []byte("0a1b2c3d"))
		for which := range 2 {
			header := left[which*16384:][:16384]
			reseal(header, bytes.Clone(bytes.TrimRight(header[4096:], "\x00")))
		}
		x.dev = simTarget{simdev.New(left), true}
		if _, err := x.newVolume(t.Context(), c.action); !errors.Is(err, luks2.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
