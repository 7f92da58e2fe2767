package luks2

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// job converts a volume zone by zone, as slowly as one can check.
type job struct {
	image
	h              *Header
	oldKey, newKey []byte
	plain          []byte
	zone           int64 // length of a zone
}

// state returns the pending conversion.
func (j *job) state() *Reencryption {
	j.t.Helper()
	r, err := j.h.Reencryption(j.size)
	check(j.t, err)
	if r == nil {
		j.t.Fatal("no conversion is pending")
	}
	return r
}

// next returns the zone to do.
func (j *job) next(r *Reencryption) (off, n int64) {
	switch {
	case r.State == Crash:
		return r.HotOffset, r.HotLength
	case r.Shift == 0:
		off = r.DataSize - r.Remaining
		return off, min(j.zone, r.Remaining, r.MaxZone())
	case r.Remaining == r.Shift:
		return 0, r.Shift
	}
	off = max(r.Remaining-j.zone, r.Shift)
	return off, r.Remaining - off
}

// source is where the old bytes of a zone lie.
func source(r *Reencryption, off int64) int64 {
	if r.Moved.Type != "" && off == 0 {
		return r.Moved.Offset
	}
	return r.Previous.Offset + off
}

// encrypted returns what the zone is to become, from its plaintext.
func (j *job) encrypted(r *Reencryption, off, n int64) []byte {
	b := bytes.Clone(j.plain[off : off+n])
	crypt(j.t, j.newKey, b, uint64(off/512), r.Final.SectorSize, true)
	return b
}

// hot commits the next zone as hot and writes the first part of it, which may end
// inside a sector.
func (j *job) hot(share float64) {
	j.t.Helper()
	r := j.state()
	off, n := j.next(r)
	check(j.t, j.h.SaveZone(j, off, j.bytesAt(source(r, off), n)))
	check(j.t, j.h.MarkHot(off, n))
	check(j.t, j.h.Commit(j))
	part := int64(share * float64(n))
	if r.ChecksumSectorSize > 0 { // checksums cannot tell a block that is half written
		part -= part % int64(r.ChecksumSectorSize)
	}
	j.put(j.encrypted(r, off, n)[:part], r.DataOffset+off)
}

// redo writes the hot zone from what the resilience kept.
func (j *job) redo() {
	j.t.Helper()
	r := j.state()
	now := j.bytesAt(source(r, r.HotOffset), r.HotLength)
	if r.Shift == 0 {
		z, err := j.h.LoadZone(j)
		check(j.t, err)
		for i := 0; i*z.BlockSize < len(now); i++ {
			off := int64(i * z.BlockSize)
			block := z.Old(i, now[off:off+int64(z.BlockSize)])
			if block == nil {
				continue
			}
			block = j.reencrypt(r, bytes.Clone(block), r.HotOffset+off)
			j.put(block, r.DataOffset+r.HotOffset+off)
		}
	} else {
		j.put(j.reencrypt(r, now, r.HotOffset), r.DataOffset+r.HotOffset)
	}
	if r.Remaining > 0 {
		check(j.t, j.h.MarkDone())
	} else {
		wants(j.t, j.h.MarkDone(), "the last zone is done by Finish")
		check(j.t, j.h.Finish(FinishOptions{}))
	}
	check(j.t, j.h.Commit(j))
	check(j.t, j.h.WipeRemoved(j, rand.Reader))
}

// reencrypt turns old bytes into new ones.
func (j *job) reencrypt(r *Reencryption, b []byte, off int64) []byte {
	if r.Previous.Type == "crypt" {
		crypt(j.t, j.oldKey, b, r.Previous.IVTweak+uint64(off/512), r.Previous.SectorSize, false)
	}
	crypt(j.t, j.newKey, b, uint64(off/512), r.Final.SectorSize, true)
	return b
}

// finish converts all that is left, ourselves, from what is on disk.
func (j *job) finish() {
	j.t.Helper()
	j.h = j.read()
	for {
		r, err := j.h.Reencryption(j.size)
		check(j.t, err)
		switch {
		case r == nil:
			return
		case r.State == Crash:
			j.redo()
		case r.State == Unfinished:
			check(j.t, j.h.Finish(FinishOptions{}))
			check(j.t, j.h.Commit(j))
		default:
			j.hot(0)
		}
	}
}

// theyFinish lets cryptsetup convert what is left.
func (j *job) theyFinish() {
	j.t.Helper()
	key := j.key(passphrase)
	j.run("repair", "--key-file", key, j.Name())
	if r, err := j.read().Reencryption(j.size); r != nil || err != nil {
		j.run("reencrypt", "--resume-only", "--force-offline-reencrypt", "--key-file", key, j.Name())
	}
}

// shifted begins an encryption with a shift.
func shifted(t testing.TB, shift, data, spare int64, sectorSize int) *job {
	t.Helper()
	j := &job{image: newImage(t, data+2*shift+spare), plain: random(t, data), zone: shift}
	j.put(j.plain, 0)
	j.put(j.plain[:shift], j.size-shift)
	h, err := Format(options(shift, sectorSize))
	check(t, err)
	j.h, j.newKey = h, random(t, 64)
	check(t, h.FillKeyslotsArea(j, rand.Reader))
	_, err = h.AddKeyslot(t.Context(), j, j.newKey, []byte(passphrase), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.BeginEncrypt(EncryptOptions{Shift: shift, DeviceSize: j.size, DataSize: data, Rand: rand.Reader}, j.newKey))
	check(t, h.Commit(j))
	return j
}

// gap begins an encryption behind a header.
func gap(t testing.TB, resilience string, sums int) *job {
	t.Helper()
	j := &job{image: newImage(t, mib+(384<<10)), plain: random(t, 384<<10), zone: 64 << 10}
	j.put(j.plain, mib)
	h, err := Format(options(mib, 512))
	check(t, err)
	j.h, j.newKey = h, random(t, 64)
	_, err = h.AddKeyslot(t.Context(), j, j.newKey, []byte(passphrase), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.BeginEncryptForward(ForwardOptions{resilience, "sha256", sums, j.size, rand.Reader}, j.newKey))
	check(t, h.Commit(j))
	return j
}

// rekey begins a re-encryption of a volume that cryptsetup made.
func rekey(t testing.TB, resilience string, sums int) *job {
	t.Helper()
	j := &job{image: newImage(t, 2*mib+(384<<10)), plain: random(t, 384<<10), oldKey: random(t, 64), zone: 64 << 10}
	j.run(append([]string{"luksFormat", "--offset", fmt.Sprint(2 * mib / 512), "--sector-size", "512",
		"--volume-key-file", j.key(string(j.oldKey)), "--key-file", j.key(passphrase), j.Name()}, cheap...)...)
	old := bytes.Clone(j.plain)
	crypt(t, j.oldKey, old, 0, 512, true)
	j.put(old, 2*mib)
	j.h, j.newKey = j.read(), random(t, 64)
	_, err := j.h.AddUnboundKeyslot(t.Context(), j, j.newKey, []byte(passphrase), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, j.h.Commit(j))
	o := RekeyOptions{ForwardOptions: ForwardOptions{resilience, "sha256", sums, j.size, rand.Reader}, SectorSize: 4096}
	check(t, j.h.BeginRekey(t.Context(), o, j.oldKey, j.newKey))
	check(t, j.h.Commit(j))
	return j
}

// kinds are the conversions under test.
var kinds = []struct {
	name  string
	begin func(t testing.TB) *job
	zones int
	slow  bool // to resume it cryptsetup measures a KDF again, which takes seconds
}{
	{"shift", func(t testing.TB) *job { return shifted(t, mib, 3*mib+4096, 0, 512) }, 4, false},
	{"shift-spare-4096", func(t testing.TB) *job { return shifted(t, 2*mib, 5*mib, 3*mib, 4096) }, 3, false},
	{"shift-one-zone", func(t testing.TB) *job { return shifted(t, mib, mib, 0, 512) }, 1, false},
	{"gap-checksum", func(t testing.TB) *job { return gap(t, "checksum", 512) }, 6, true},
	{"gap-journal", func(t testing.TB) *job { return gap(t, "journal", 0) }, 6, false},
	{"rekey-checksum", func(t testing.TB) *job { return rekey(t, "checksum", 4096) }, 6, true},
	{"rekey-journal", func(t testing.TB) *job { return rekey(t, "journal", 0) }, 6, false},
}

// TestEveryStateIsFinished stops each conversion at its zones: between them, and in
// the middle of one with nothing, a part and all of it written. cryptsetup finishes
// one copy of that, we the other.
func TestEveryStateIsFinished(t *testing.T) {
	for _, kind := range kinds {
		last := kind.zones - 1
		for _, c := range []struct {
			done int
			stop float64
		}{{0, -1}, {kind.zones / 2, -1}, {last / 2, 0.627}, {last, 0}, {last, 0.627}, {last, 1}} {
			if kind.slow && c.done < last && c.stop < 0.5 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d/%v", kind.name, c.done, c.stop), func(t *testing.T) {
				finishFrom(t, kind.begin(t), c.done, c.stop)
			})
		}
	}
}

func finishFrom(t *testing.T, j *job, done int, stop float64) {
	for range done {
		j.hot(0)
		j.redo()
	}
	if stop >= 0 {
		j.hot(stop)
	}
	check(t, j.h.VerifyReencryption(t.Context(), j.oldKey, j.newKey))
	if err := j.h.VerifyReencryption(t.Context(), j.oldKey, random(t, 64)); err != ErrReencryption {
		t.Fatal(err)
	}
	j.opens(passphrase)
	theirs := &job{image: newImage(t, j.size)}
	theirs.put(j.bytesAt(0, j.size), 0)
	theirs.theyFinish()
	theirs.decrypts(j.newKey, j.plain)
	j.finish()
	j.decrypts(j.newKey, j.plain)
	j.opens(passphrase)
	ours, want := j.dump(), theirs.dump()
	for _, d := range []luksDump{ours, want} { // which id a digest gets is of no matter
		for id := range d.Digests {
			d.Digests["0"] = d.Digests[id]
			if id != "0" {
				delete(d.Digests, id)
			}
		}
	}
	equal(t, "finished metadata", ours, want)
}

// TestBeginAsCryptsetupDoes compares the first state with the one of --init-only, and
// finishes that one ourselves.
func TestBeginAsCryptsetupDoes(t *testing.T) {
	ours := shifted(t, 2*mib, 5*mib, 0, 512)
	theirs := &job{image: newImage(t, ours.size), plain: ours.plain, zone: mib + 512}
	theirs.put(theirs.plain, 0)
	t.Chdir(t.TempDir()) // it leaves a file here while it works
	theirs.run(append([]string{"reencrypt", "--encrypt", "--init-only", "--reduce-device-size", "4M", "--hash", "sha512",
		"--key-file", theirs.key(passphrase), theirs.Name()}, cheap...)...)
	theirs.h = theirs.read()
	want, got := theirs.state(), ours.state()
	for _, r := range []*Reencryption{want, got} {
		r.Final.ID, r.Moved.ID, r.Previous.ID = 0, 0, 0
	}
	want.newDigest, want.oldDigest, want.version = got.newDigest, got.oldDigest, got.version
	equal(t, "conversion", fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", *want))
	key, _, err := theirs.h.Open(t.Context(), theirs, []byte(passphrase))
	check(t, err)
	check(t, theirs.h.VerifyReencryption(t.Context(), nil, key))
	theirs.newKey = key
	theirs.finish()
	theirs.decrypts(key, theirs.plain)
	theirs.opens(passphrase)
}

// TestTheirRekeyIsRead reads the first state of cryptsetup's own re-encryption, and
// finishes it.
func TestTheirRekeyIsRead(t *testing.T) {
	for _, resilience := range []string{"checksum", "journal"} {
		j := &job{image: newImage(t, 6*mib), plain: random(t, 4*mib), oldKey: random(t, 64), zone: mib}
		key := j.key(passphrase)
		j.run(append([]string{"luksFormat", "--offset", "4096", "--sector-size", "512", "--volume-key-file", j.key(string(j.oldKey)),
			"--key-file", key, j.Name()}, cheap...)...)
		old := bytes.Clone(j.plain)
		crypt(t, j.oldKey, old, 0, 512, true)
		j.put(old, 2*mib)
		j.run(append([]string{"reencrypt", "--init-only", "--force-offline-reencrypt", "--resilience", resilience, "--key-file", key, j.Name()}, cheap...)...)
		j.h = j.read()
		r := j.state()
		equal(t, "remaining", r.Remaining, int64(4*mib))
		equal(t, "resilience", r.Resilience, resilience)
		for _, s := range j.h.Keyslots() {
			if s.Holds == HoldsFinal {
				var err error
				j.newKey, err = j.h.OpenKeyslot(t.Context(), j, s.ID, []byte(passphrase))
				check(t, err)
			}
		}
		check(t, j.h.VerifyReencryption(t.Context(), j.oldKey, j.newKey))
		j.finish()
		j.decrypts(j.newKey, j.plain)
		j.opens(passphrase)
	}
}

func TestUnfinishedIsRecognised(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			j := kind.begin(t)
			for range kind.zones - 1 {
				j.hot(0)
				j.redo()
			}
			j.hot(1)
			// The state that must never be written, as cryptsetup can leave it.
			r := j.state()
			tr := j.h.tree.clone()
			backups := r.backups()
			tr.setSegments(append([]piece{{r.Final.part(0, Dynamic), false, true}}, backups...), r.oldDigest, r.newDigest)
			check(t, j.h.adopt(tr))
			check(t, j.h.Commit(j))
			j.h = j.read()
			equal(t, "state", j.state().State, Unfinished)
			equal(t, "remaining", j.state().Remaining, 0)
			j.finish()
			j.decrypts(j.newKey, j.plain)
			j.opens(passphrase)
		})
	}
}

func TestZonesRefused(t *testing.T) {
	j := shifted(t, mib, 3*mib, 0, 4096)
	for _, c := range []struct {
		off, n int64
		text   string
	}{
		{0, mib, "the next zone ends at 3145728"},
		{mib, 2 * mib, "its length is not from 1 to 1048576, of 3145728 that remain"},
		{3 * mib, 0, "its length is not from 1 to 1048576, of 3145728 that remain"},
		{3*mib - 512, 512, "not aligned to 4096"},
	} {
		err := j.h.MarkHot(c.off, c.n)
		wants(t, err, fmt.Sprintf("hot zone of %d bytes at %d: %s", c.n, c.off, c.text))
	}
	wants(t, j.h.MarkDone(), "no zone is hot")
	wants(t, j.h.Finish(FinishOptions{}), "the re-encryption has 3145728 bytes to go")
	j.zone = mib / 2
	for range 3 {
		j.hot(0)
		j.redo()
	}
	check(t, j.h.MarkHot(mib, mib/2))
	check(t, j.h.MarkDone())
	wants(t, j.h.MarkHot(mib/2, mib/2), "hot zone of 524288 bytes at 524288: the zone that the moved copy is for is [0, 1048576)")
	j.hot(0)
	wants(t, j.h.MarkHot(0, 4096), "hot zone of 4096 bytes at 0: the volume is in the state crash")
	h := j.read()
	wants(t, h.MarkDone(), "the size of the device is not known: call Reencryption first")
	wants(t, h.DropKeyslot(1), "keyslot 1 records a re-encryption: without it the data is lost")
}

func TestSaveZoneKeepsWhatDiskRefersTo(t *testing.T) {
	j := gap(t, "journal", 0)
	j.hot(0)
	check(t, j.h.MarkDone())
	err := j.h.SaveZone(j, j.zone, j.bytesAt(mib+j.zone, 4096))
	wants(t, err, "save the zone at 65536: the header on disk still has a hot zone")
	check(t, j.h.Commit(j))
	check(t, j.h.SaveZone(j, j.zone, j.bytesAt(mib+j.zone, 4096)))
}

func TestFinishFixesTheSize(t *testing.T) {
	j := shifted(t, mib, mib, 2*mib, 512)
	j.hot(1)
	if err := j.h.Finish(FinishOptions{DataSize: 5 * mib}); err == nil || !strings.Contains(err.Error(), "more than the device") {
		t.Fatal(err)
	}
	check(t, j.h.Finish(FinishOptions{DataSize: 3 * mib}))
	check(t, j.h.Commit(j))
	equal(t, "size", j.read().Segments()[0].Size, int64(3*mib))
	check(t, j.h.SetDynamicSize())
	check(t, j.h.Commit(j))
	equal(t, "size", j.dump().Segments["0"].Size, "dynamic")
	j.opens(passphrase)
}

func TestBeginRefused(t *testing.T) {
	img := newImage(t, 16*mib)
	for _, c := range []struct {
		shift, device, data int64
		text                string
	}{
		{mib, 16 * mib, 8 * mib, "begin encryption: the data offset 2097152 is not the shift 1048576"},
		{2 * mib, 16*mib + 512, 8 * mib, "begin encryption: a device of 16777728 bytes does not end with a sector of 4096"},
		{2 * mib, 16 * mib, mib, "begin encryption: data size 1048576 and shift 2097152 are not multiples of 4096, or the data is smaller"},
		{2 * mib, 16 * mib, 8*mib + 512, "begin encryption: data size 8389120 and shift 2097152 are not multiples of 4096, or the data is smaller"},
		{2 * mib, 16 * mib, 13 * mib, "begin encryption: 13631488 bytes of data, shifted by 2097152, and a copy at 14680064 do not fit on 16777216 bytes"},
	} {
		h, key := img.format(options(2*mib, 4096))
		err := h.BeginEncrypt(EncryptOptions{Shift: c.shift, DeviceSize: c.device, DataSize: c.data, Rand: rand.Reader}, key)
		wants(t, err, c.text)
	}
	h, key := img.format(options(2*mib, 4096))
	wants(t, h.BeginEncryptForward(ForwardOptions{"none", "", 0, 16 * mib, rand.Reader}, key), `begin encryption: resilience "none" is neither checksum nor journal`)
	wants(t, h.BeginEncryptForward(ForwardOptions{"checksum", "sha256", 512, 16 * mib, rand.Reader}, key), "begin encryption: checksums over 512 bytes cannot tell half written sectors")
	wants(t, h.BeginEncryptForward(ForwardOptions{"journal", "", 0, 16*mib + 512, rand.Reader}, key), "begin encryption: the device has 14680576 bytes for data, which is not a multiple of 4096")
	wants(t, h.BeginRekey(t.Context(), RekeyOptions{}, key, random(t, 64)), "begin re-encryption: the new key has no keyslot, or is the old one")
	wants(t, h.BeginEncrypt(EncryptOptions{Shift: 2 * mib, DeviceSize: 16 * mib, DataSize: 8 * mib, Rand: rand.Reader}, random(t, 64)),
		"begin encryption: not the volume key of this header")
}

// TestBeginRefusesForms: a volume of which not all is one encrypted segment up to the end of its
// device, that is in conversion, or whose keys are not those that are given, is not begun on.
func TestBeginRefusesForms(t *testing.T) {
	const notOne = "the volume is not one encrypted segment without integrity protection"
	good := volume(t)
	for name, c := range map[string]struct {
		change func(string) string
		text   string
	}{
		"two segments": {segments(`"0":{`+cryptSegment+`"offset":"524288","size":"4096"},"1":{`+cryptSegment+`"offset":"528384","size":"dynamic"}`, `"0","1"`), notOne},
		"plain":        {segments(`"0":{"type":"linear","offset":"524288","size":"dynamic"}`, ``), notOne},
		"integrity":    {swap(`"encryption":"aes-xts-plain64","sector_size"`, `"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"},"encryption":"aes-xts-plain64","sector_size"`), notOne},
		"an end":       {swap(`"size":"dynamic"`, `"size":"8192"`), "the data does not reach to the end of the device"},
	} {
		m := memory(bytes.Clone(good))
		m.json(c.change)
		h, err := m.read()
		check(t, err)
		err = h.BeginEncryptForward(ForwardOptions{"journal", "", 0, 16 * mib, rand.Reader}, random(t, 32))
		if err == nil || err.Error() != "begin encryption: "+c.text {
			t.Errorf("%s: %v", name, err)
		}
	}
	j := shifted(t, mib, mib, 2*mib, 512)
	wants(t, j.h.BeginEncrypt(EncryptOptions{Shift: mib, DeviceSize: j.size, DataSize: mib, Rand: rand.Reader}, j.newKey), "begin encryption: "+notOne)

	img := newImage(t, 16*mib)
	h, key := img.format(options(2*mib, 4096))
	o := RekeyOptions{ForwardOptions: ForwardOptions{"journal", "", 0, 16 * mib, rand.Reader}}
	const noSlot = "begin re-encryption: the new key has no keyslot, or is the old one"
	wants(t, h.BeginRekey(t.Context(), o, key, key), noSlot)
	wants(t, h.BeginRekey(t.Context(), o, random(t, 64), key), "begin re-encryption: old key: not the volume key of this header")
}

// TestFailedCommitMayHaveReachedTheDisk: after a commit of a hot zone that failed, one of
// the copies on disk may list that zone, so its record stays; and after one that failed to
// say that it is done, it is listed still.
func TestFailedCommitMayHaveReachedTheDisk(t *testing.T) {
	const kept = "save the zone at 65536: the header on disk still has a hot zone"
	for n := range 6 {
		j := gap(t, "journal", 0)
		check(t, j.h.SaveZone(j, 0, j.bytesAt(mib, j.zone)))
		check(t, j.h.MarkHot(0, j.zone))
		if err := j.h.Commit(j.fail(n)); !errors.Is(err, errDisk) {
			t.Fatalf("write %d: %v", n, err)
		}
		check(t, j.h.MarkDone())
		wants(t, j.h.SaveZone(j, j.zone, j.bytesAt(mib+j.zone, 4096)), kept)
		_, err := j.h.JournalFor(j.zone, 4096)
		wants(t, err, kept)
		if err := j.h.Commit(j.fail(n)); !errors.Is(err, errDisk) {
			t.Fatalf("write %d: %v", n, err)
		}
		wants(t, j.h.SaveZone(j, j.zone, j.bytesAt(mib+j.zone, 4096)), kept)
		check(t, j.h.Commit(j))
		check(t, j.h.SaveZone(j, j.zone, j.bytesAt(mib+j.zone, 4096)))
	}
}

// fail returns the device of the job, the n-th write of which fails.
func (j *job) fail(n int) Device { return &failing{memory: memory(j.bytesAt(0, j.size)), left: n} }
