package luks2

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBackupIsCryptsetups compares with what cryptsetup makes, and lets it restore
// ours.
func TestBackupIsCryptsetups(t *testing.T) {
	i := newImage(t, 24*mib)
	i.run("luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", i.Name(), i.key(passphrase))
	theirs := i.Name() + ".theirs"
	i.run("luksHeaderBackup", i.Name(), "--header-backup-file", theirs)
	want, err := os.ReadFile(theirs)
	check(t, err)
	h, err := Read(i, i.size)
	check(t, err)
	var got bytes.Buffer
	check(t, h.Backup(i, &got))
	if !bytes.Equal(got.Bytes(), want) || h.BackupSize() != int64(len(want)) {
		t.Fatalf("%d bytes that are not cryptsetup's %d", got.Len(), len(want))
	}
	ours := i.Name() + ".ours"
	check(t, os.WriteFile(ours, got.Bytes(), 0o600))
	i.run("luksDump", ours)
	_, err = i.WriteAt(make([]byte, 1*mib), 0)
	check(t, err)
	i.run("luksHeaderRestore", i.Name(), "--header-backup-file", ours)
	i.run("open", "--test-passphrase", "--key-file", i.key(passphrase), i.Name())
}

// backedUp returns a volume, its backup, and passphrases that open the keyslots then
// and now: since the backup one keyslot was removed and another took its place.
func backedUp(t *testing.T) (now memory, backup memory, before, after map[int]string) {
	t.Helper()
	m := volume(t)
	h, err := m.read()
	check(t, err)
	var b bytes.Buffer
	check(t, h.Backup(m, &b))
	key, _, err := h.Open(t.Context(), m, []byte(passphrase))
	check(t, err)
	check(t, h.RemoveKeyslot(m, 1, rand.Reader))
	id, err := h.AddKeyslot(t.Context(), m, key, []byte("new"), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.Commit(m))
	return m, b.Bytes(), map[int]string{0: passphrase, 1: "second"}, map[int]string{0: passphrase, id: "new"}
}

// TestPowerCutInRestore cuts the power everywhere in a restore: every keyslot that
// the header lists opens, and then a second try restores.
func TestPowerCutInRestore(t *testing.T) {
	m, backup, before, after := backedUp(t)
	r := &recorder{memory: bytes.Clone(m)}
	check(t, restore(r, backup))
	seen, states := map[string]bool{}, map[bool]int{}
	cuts(m, r.log, func(m memory, cut string) {
		h, err := m.read()
		if err != nil {
			t.Fatalf("%s: %v", cut, err)
		}
		if state := sha(m[:h.BackupSize()]); seen[state] {
			return
		} else {
			seen[state] = true
		}
		_, secondErr := h.OpenKeyslot(t.Context(), m, 1, []byte("second"))
		states[secondErr == nil]++
		want := after
		if secondErr == nil {
			want = before
		}
		opens(t, m, want, cut)
		check(t, restore(m, backup))
		opens(t, m, before, cut+", again")
	})
	if states[true] == 0 || states[false] == 0 {
		t.Errorf("not both states were seen: %v", states)
	}
	opens(t, r.memory, before, "uncut")
	if h, err := r.read(); err != nil || len(h.Keyslots()) != 2 {
		t.Errorf("not the keyslots of the backup (%v)", err)
	}
}

// restore does what the next run does.
func restore(d interface {
	Device
	read() (*Header, error)
}, backup memory) error {
	h, err := backup.read()
	if err != nil {
		return err
	}
	now, err := d.read()
	if err != nil && !errors.Is(err, ErrNotLUKS2) && !errors.Is(err, ErrDamaged) {
		return err
	}
	return h.RestoreTo(d, backup, now, rand.Reader)
}

func opens(t *testing.T, m memory, passphrases map[int]string, where string) {
	t.Helper()
	h, err := m.read()
	check(t, err)
	if len(h.Keyslots()) != len(passphrases) {
		t.Fatalf("%s: %d keyslots, want %d", where, len(h.Keyslots()), len(passphrases))
	}
	for id, p := range passphrases {
		if _, err := h.OpenKeyslot(t.Context(), m, id, []byte(p)); err != nil {
			t.Fatalf("%s: keyslot %d: %v", where, id, err)
		}
	}
}

// Where the header is gone it is written as it was, keyslots in their places.
func TestRestoreOverNothing(t *testing.T) {
	m, backup, before, _ := backedUp(t)
	clear(m)
	check(t, restore(m, backup))
	opens(t, m, before, "restored")
	equal(t, "keyslots area", sha(m[32768:len(backup)]), sha(backup[32768:]))
}

// The keyslots are durable before a header lists them.
func TestRestoredKeyslotsAreDurableFirst(t *testing.T) {
	m, backup, _, _ := backedUp(t)
	clear(m)
	r := &recorder{memory: m}
	check(t, restore(r, backup))
	header := slices.IndexFunc(r.log, func(w write) bool { return w.bytes != nil && w.off < 32768 })
	if header < 3 || r.log[header-1].bytes != nil {
		t.Errorf("operation %d writes the header, and before it is no flush", header)
	}
}

// What only the former header had is destroyed.
func TestRestoreDestroysFormerKeyslots(t *testing.T) {
	m, backup, _, after := backedUp(t)
	h, err := m.read()
	check(t, err)
	former := bytes.Clone(m)
	check(t, restore(m, backup))
	for _, s := range h.Keyslots() {
		kept := bytes.Equal(m[s.AreaOffset:s.AreaOffset+s.AreaSize], former[s.AreaOffset:s.AreaOffset+s.AreaSize])
		if after[s.ID] == "new" && kept {
			t.Error("the keyslot that the backup has not is still there")
		}
	}
}

func TestSameData(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	check(t, h.SameData(h))
	for name, c := range map[string]struct {
		change func(*Header)
		want   string
	}{
		"volume":  {func(o *Header) { o.UUID = "other" }, "it is of the volume"},
		"offset":  {func(o *Header) { o.meta.segments[0].Offset += 4096 }, "its data is"},
		"cipher":  {func(o *Header) { o.meta.segments[0].Encryption = "serpent-xts-plain64" }, "its data is"},
		"sectors": {func(o *Header) { o.meta.segments[0].SectorSize = 1024 }, "its data is"},
		"size":    {func(o *Header) { o.meta.segments[0].Size = 1 << 20 }, "its data is"},
		"key":     {func(o *Header) { o.meta.digests[0].value[0]++ }, "another volume key"},
	} {
		o, err := m.read()
		check(t, err)
		c.change(o)
		if err := h.SameData(o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
