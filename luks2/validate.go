package luks2

import (
	"fmt"
	"slices"
)

// check looks at all objects together. The order is cryptsetup's: requirements,
// tokens, digests, segments, keyslots, config, areas.
func (m *metadata) check(headerSize int64) error {
	checks := []func() error{
		m.checkRequirements, m.checkTokens, m.checkDigests, m.checkSegments, m.checkOverlap, m.checkConversion, m.checkKeyslots,
		func() error { return m.config.check(headerSize, m.segments) },
		func() error { return m.checkAreas(headerSize) },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (m *metadata) checkRequirements() error {
	n := 0
	for _, r := range m.config.requirements {
		if tellsReencryption(r) {
			n++
		}
	}
	if n > 1 {
		return fmt.Errorf("config: %d re-encryption requirements, more than one", n)
	}
	return nil
}

func (m *metadata) checkTokens() error {
	for _, t := range m.tokens {
		if err := m.checkKeyslotIDs(t.Keyslots); err != nil {
			return fmt.Errorf("token %d: %w", t.ID, err)
		}
	}
	return nil
}

func (m *metadata) checkKeyslotIDs(ids []int) error {
	for _, id := range ids {
		if !slices.ContainsFunc(m.keyslots, func(s Keyslot) bool { return s.ID == id }) {
			return fmt.Errorf("keyslot %d does not exist", id)
		}
	}
	return nil
}

func (m *metadata) checkDigests() error {
	for _, d := range m.digests {
		if err := m.checkKeyslotIDs(d.keyslots); err != nil {
			return fmt.Errorf("digest %d: %w", d.id, err)
		}
		for _, id := range d.segments {
			if id >= len(m.segments) {
				return fmt.Errorf("digest %d: segment %d does not exist", d.id, id)
			}
		}
	}
	return nil
}

// checkSegments demands contiguous ids, regular segments first, and a dynamic size
// only at their end.
func (m *metadata) checkSegments() error {
	backups := false
	for i, s := range m.segments {
		switch {
		case s.ID != i:
			return fmt.Errorf("segment %d is missing before segment %d", i, s.ID)
		case backups && !s.backup():
			return fmt.Errorf("segment %d is regular but follows a backup segment", s.ID)
		case s.backup():
			backups = true
		case s.Size == Dynamic && i+1 < len(m.segments) && !m.segments[i+1].backup():
			return fmt.Errorf("segment %d has no size and is not the last", s.ID)
		}
	}
	if len(regular(m.segments)) == 0 {
		return fmt.Errorf("there is no regular segment")
	}
	return nil
}

// checkOverlap refuses regular segments that share bytes.
func (m *metadata) checkOverlap() error {
	all := regular(m.segments)
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.before(b) || b.before(a) {
				continue
			}
			return fmt.Errorf("segments %d and %d overlap", a.ID, b.ID)
		}
	}
	return nil
}

// before reports whether s ends before t begins.
func (s Segment) before(t Segment) bool { return s.Size != Dynamic && s.Size <= t.Offset-s.Offset }

// checkConversion demands what a re-encryption needs to be finished.
func (m *metadata) checkConversion() error {
	if !slices.Contains([]string{"online-reencrypt", "online-reencrypt-v2", "online-reencrypt-v3"}, m.config.pending()) {
		return nil
	}
	var forms []Segment
	for _, flag := range []string{BackupPrevious, BackupFinal} {
		i := slices.IndexFunc(m.segments, func(s Segment) bool { return slices.Contains(s.Flags, flag) })
		if i < 0 {
			return fmt.Errorf("a re-encryption is pending and there is no segment %s", flag)
		}
		forms = append(forms, m.segments[i])
	}
	for _, s := range regular(m.segments) {
		switch {
		case s.hot() && !s.sameForm(forms[1]):
			return fmt.Errorf("segment %d is being rewritten, and has not the new form of the data", s.ID)
		case !slices.ContainsFunc(forms, s.sameForm):
			return fmt.Errorf("segment %d has neither the old nor the new form of the data", s.ID)
		}
	}
	return nil
}

// checkKeyslots demands one digest for every keyslot with a key, and that there is a
// record of a re-encryption where the requirements tell of one.
func (m *metadata) checkKeyslots() error {
	records := 0
	for _, s := range m.keyslots {
		owners := 0
		for _, d := range m.digests {
			if slices.Contains(d.keyslots, s.ID) {
				owners++
			}
		}
		if s.Type == "luks2" && owners != 1 {
			return fmt.Errorf("keyslot %d is in %d digests, not in one", s.ID, owners)
		}
		if s.Type == "reencrypt" {
			records++
		}
	}
	switch pending := m.config.pending(); {
	case records > 1:
		return fmt.Errorf("%d keyslots record a re-encryption, more than one", records)
	case records == 1 && pending == "":
		return fmt.Errorf("a keyslot records a re-encryption, and no requirement tells of one")
	case records == 0 && slices.Contains(known, pending):
		return fmt.Errorf("the requirement %s tells of a re-encryption, and no keyslot records one", pending)
	}
	return nil
}

// checkCovered demands a digest for every encrypted segment. Only a fresh header
// without keyslots may lack it, and is not written then.
func (m *metadata) checkCovered() error {
	for _, s := range m.segments {
		listed := slices.ContainsFunc(m.digests, func(d digest) bool { return slices.Contains(d.segments, s.ID) })
		if s.Type == "crypt" && !listed {
			return fmt.Errorf("segment %d is in no digest", s.ID)
		}
	}
	return nil
}

// check looks at the sizes, and that the keyslots end before the data begins.
func (c config) check(headerSize int64, segments []Segment) error {
	if want := headerSize - binarySize; c.jsonSize != want {
		return fmt.Errorf("config: json_size %d is not %d", c.jsonSize, want)
	}
	if c.keyslotsSize < 0 || c.keyslotsSize > maxKeyslotsSize || c.keyslotsSize%areaAlignment != 0 {
		return fmt.Errorf("config: keyslots_size %d is not a multiple of %d up to %d", c.keyslotsSize, areaAlignment, maxKeyslotsSize)
	}
	first := slices.MinFunc(regular(segments), func(a, b Segment) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	if end := 2*headerSize + c.keyslotsSize; first.Offset != 0 && end > first.Offset {
		return fmt.Errorf("config: the keyslots area ends at byte %d, inside the data that begins at %d", end, first.Offset)
	}
	return nil
}

// checkAreas keeps keyslot areas inside the keyslots area and apart.
func (m *metadata) checkAreas(headerSize int64) error {
	all := span{2 * headerSize, m.config.keyslotsSize}
	for i, s := range m.keyslots {
		if s.AreaSize <= 0 || s.AreaOffset < all.offset || s.AreaSize > all.size || s.AreaOffset > all.end()-s.AreaSize {
			return fmt.Errorf("keyslot %d: its area, %d bytes at %d, is not inside the keyslots area, %d bytes at %d",
				s.ID, s.AreaSize, s.AreaOffset, all.size, all.offset)
		}
		for _, t := range m.keyslots[:i] {
			if s.AreaOffset < t.AreaOffset+t.AreaSize && t.AreaOffset < s.AreaOffset+s.AreaSize {
				return fmt.Errorf("keyslot %d: its area overlaps that of keyslot %d", s.ID, t.ID)
			}
		}
	}
	return nil
}
