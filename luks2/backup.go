package luks2

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Backup writes the header and the keyslots area to w, as cryptsetup luksHeaderBackup
// lays them out: both copies, then the area. r is the device the header was read
// from. Both copies are good, also where one on the device is not.
func (h *Header) Backup(r io.ReaderAt, w io.Writer) error {
	for which := range magics {
		if _, err := w.Write(h.image(which)); err != nil {
			return err
		}
	}
	area := h.keyslotsArea()
	n, err := io.Copy(w, io.NewSectionReader(r, area.offset, area.size))
	if err == nil && n < area.size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// BackupSize is how many bytes Backup writes.
func (h *Header) BackupSize() int64 { return h.keyslotsArea().end() }

// SameData returns an error that says why another header is for other data than h:
// another volume, other places or ciphers, or another volume key. Segments and the
// digest of the key must be the very same, so neither may be in conversion.
func (h *Header) SameData(other *Header) error {
	if h.UUID != other.UUID {
		return fmt.Errorf("it is of the volume %.40q, this one is %.40q", other.UUID, h.UUID)
	}
	mine, theirs := h.Segments(), other.Segments()
	if len(mine) != len(theirs) {
		return fmt.Errorf("its data is in %d segments, that of the volume in %d", len(theirs), len(mine))
	}
	for i := range mine {
		if a, b := mine[i].encode().encode(), theirs[i].encode().encode(); !bytes.Equal(a, b) || mine[i].Integrity != theirs[i].Integrity {
			return fmt.Errorf("its data is %.300s, that of the volume %.300s", b, a)
		}
		a, _ := h.digestOf(mine[i].ID)
		b, _ := other.digestOf(theirs[i].ID)
		if !bytes.Equal(a.salt, b.salt) || !bytes.Equal(a.value, b.value) {
			return fmt.Errorf("it has another volume key: the data was encrypted anew since")
		}
	}
	return nil
}

// HasKeyslotOf reports whether h has a keyslot of another header, under whatever id: one
// with the same salt, which no two keyslots share.
func (h *Header) HasKeyslotOf(other *Header, id int) bool {
	s, _ := other.keyslot(id)
	return slices.ContainsFunc(h.meta.keyslots, func(mine Keyslot) bool { return len(s.salt) > 0 && bytes.Equal(mine.salt, s.salt) })
}

// RestoreTo makes h, a header that was read from a backup, the header of the volume
// on d. now is the header that is there, nil where none can be read.
//
// The keyslots of now are left alone until h is committed. A keyslot of h whose place
// one of them takes is put elsewhere in the area, so it may fail for lack of room,
// with nothing changed. A power cut leaves
//
//   - before the commit: now with all its keyslots, and rubbish in free places;
//   - in the commit: one of the two, each with all its keyslots;
//   - after it: h. What only now had is then overwritten.
//
// Without a now it leaves no header until it is done, and the backup is still there.
func (h *Header) RestoreTo(d Device, from io.ReaderAt, now *Header, rnd io.Reader) error {
	if now == nil {
		now = &Header{HeaderSize: h.HeaderSize, salts: h.salts, SequenceID: h.newestOn(d)}
		now.meta.config.keyslotsSize = h.meta.config.keyslotsSize
		now.seen = h.wholeOn(d)
	}
	if h.HeaderSize != now.HeaderSize || (h.keyslotsArea() != now.keyslotsArea() && h.roomForKeyslots() != now.roomForKeyslots()) {
		return fmt.Errorf("the backup's header takes %d bytes and its keyslots %d, on the volume it is %d and %d",
			h.HeaderSize, h.keyslotsArea().size, now.HeaderSize, now.keyslotsArea().size)
	}
	if err := h.restoreKeyslots(d, from, now); err != nil {
		return err
	}
	h.SequenceID = max(h.SequenceID, now.SequenceID)
	h.salts, h.weak, h.seen = now.salts, now.weak, now.seen
	if err := h.Commit(d); err != nil {
		return err
	}
	return h.overwriteFormer(d, now, rnd)
}

// wholeOn returns the checksums of the copies on d that are whole, whatever they say.
func (h *Header) wholeOn(d Device) (sums []copySum) {
	for which := range magics {
		if image, problem, err := h.copyOn(d, which); problem == "" && err == nil {
			sums = append(sums, checksumOf(image))
		}
	}
	return sums
}

// restoreKeyslots decides where each keyslot goes, writes those that are not there
// already, and syncs.
func (h *Header) restoreKeyslots(d Device, from io.ReaderAt, now *Header) error {
	areas := make(map[int][]byte)
	for _, s := range h.meta.keyslots {
		area, there := make([]byte, s.AreaSize), make([]byte, s.AreaSize)
		if err := readFull(from, area, s.AreaOffset); err != nil {
			return fmt.Errorf("keyslot %d of the backup: %w", s.ID, err)
		}
		if err := readFull(d, there, s.AreaOffset); err != nil {
			return fmt.Errorf("keyslot %d: %w", s.ID, err)
		}
		if !bytes.Equal(area, there) {
			areas[s.ID] = area
		}
	}
	if err := h.moveAside(areas, now); err != nil {
		return err
	}
	for _, s := range h.meta.keyslots {
		area, write := areas[s.ID]
		if !write {
			continue
		}
		if _, err := d.WriteAt(area, s.AreaOffset); err != nil {
			return fmt.Errorf("write keyslot %d: %w", s.ID, err)
		}
	}
	return d.Sync()
}

// moveAside gives those keyslots that are to be written places that now does not use.
func (h *Header) moveAside(areas map[int][]byte, now *Header) error {
	t := h.tree.clone()
	for _, s := range h.meta.keyslots {
		at := span{s.AreaOffset, s.AreaSize}
		if _, write := areas[s.ID]; !write || !now.uses(at) {
			continue
		}
		to, err := h.commonGap(now, s.AreaSize)
		if err != nil {
			return fmt.Errorf("keyslot %d of the backup lies where the volume has another one: %w", s.ID, err)
		}
		area := fields{where: "keyslot", object: t.keyslots[s.ID], err: &err}.sub("area").object
		if err != nil {
			return err
		}
		t.keyslots[s.ID] = t.keyslots[s.ID].with("area", area.with("offset", jsonSize(to.offset)).encode())
		h.widen(t, to)
		if err := h.adopt(t); err != nil {
			return err
		}
		t = h.tree.clone()
	}
	return nil
}

// uses reports whether a keyslot has bytes of s.
func (h *Header) uses(s span) bool {
	return slices.ContainsFunc(h.meta.keyslots, func(k Keyslot) bool {
		return s.offset < k.AreaOffset+k.AreaSize && k.AreaOffset < s.end()
	})
}

// commonGap returns a place that is free in both headers.
func (h *Header) commonGap(other *Header, size int64) (span, error) {
	for _, g := range h.gaps() {
		for at := g.offset; at+size <= g.end(); at += areaAlignment {
			if s := (span{at, size}); !other.uses(s) {
				return s, nil
			}
		}
	}
	return span{}, fmt.Errorf("no room for %d bytes beside the keyslots that are there; remove one of them first", size)
}

// overwriteFormer destroys the keyslots that only the former header had. A power cut
// leaves some of them, which no header lists.
func (h *Header) overwriteFormer(d Device, former *Header, rnd io.Reader) error {
	for _, s := range former.meta.keyslots {
		for _, g := range h.gaps() {
			from, to := max(g.offset, s.AreaOffset), min(g.end(), s.AreaOffset+s.AreaSize)
			if from >= to {
				continue
			}
			if err := overwrite(d, span{from, to - from}, rnd); err != nil {
				return fmt.Errorf("destroy the former keyslot %d: %w", s.ID, err)
			}
		}
	}
	return nil
}
