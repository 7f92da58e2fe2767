package mkfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf16"
)

// fatReader reads the directories of a FAT file system that was just made (Microsoft's FAT
// specification; structures are little-endian).
type fatReader struct {
	file    *os.File
	cluster int64 // bytes
	table   []byte
	bits    int // of an entry of the table
	data    int64
	root    []span // of FAT12 and FAT16, which have it in front of the data
	first   uint32 // cluster of the root of FAT32
}

// span is a stretch of the image.
type span struct{ offset, size int64 }

// fatEntry is what a directory says of a file, and where its long name lies.
type fatEntry struct {
	name  string
	size  int64
	dir   bool
	first uint32
	slots []int64 // of the long name, that with its beginning first
}

// errBadFAT says that what is in the image is no FAT.
var errBadFAT = errors.New("what mkfs.vfat and mtools wrote is no FAT file system that can be read")

// openFAT reads what is needed to find directories.
func openFAT(file *os.File) (*fatReader, error) {
	boot := make([]byte, 512)
	if _, err := file.ReadAt(boot, 0); err != nil {
		return nil, err
	}
	u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(boot[at:])) }
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(boot[at:])) }
	either := func(short, long int64) int64 {
		if short != 0 {
			return short
		}
		return long
	}
	sector, reserved, tables, entries := u16(11), u16(14), int64(boot[16]), u16(17)
	sectors, table := either(u16(19), u32(32)), either(u16(22), u32(36))
	f := &fatReader{file: file, cluster: sector * int64(boot[13]), first: uint32(u32(44))}
	rootSectors := (entries*32 + sector - 1) / max(sector, 1)
	rootStart := (reserved + tables*table) * sector
	f.data = rootStart + rootSectors*sector
	if f.cluster == 0 || sectors*sector < f.data || table*sector > sectors*sector {
		return nil, errBadFAT
	}
	switch clusters := (sectors*sector - f.data) / f.cluster; {
	case clusters < 4085:
		f.bits = 12
	case clusters < 65525:
		f.bits = 16
	default:
		f.bits = 32
	}
	if f.bits < 32 {
		f.root = []span{{rootStart, entries * 32}}
	}
	f.table = make([]byte, table*sector)
	_, err := file.ReadAt(f.table, reserved*sector)
	return f, err
}

// next returns the cluster after one, and false at the end of a chain.
func (f *fatReader) next(cluster uint32) (uint32, bool, error) {
	at := int(cluster) * f.bits / 8
	if cluster < 2 || at+(f.bits+7)/8 > len(f.table) {
		return 0, false, errBadFAT
	}
	var value, end uint32
	switch f.bits {
	case 12:
		value, end = uint32(binary.LittleEndian.Uint16(f.table[at:]))>>(4*(cluster&1))&0xfff, 0xff8
	case 16:
		value, end = uint32(binary.LittleEndian.Uint16(f.table[at:])), 0xfff8
	default:
		value, end = binary.LittleEndian.Uint32(f.table[at:])&0x0fffffff, 0x0ffffff8
	}
	return value, value < end, nil
}

// spans returns where the content of a directory lies.
func (f *fatReader) spans(first uint32) ([]span, error) {
	spans, cluster, more := []span(nil), first, true
	for more {
		spans = append(spans, span{f.data + int64(cluster-2)*f.cluster, f.cluster})
		var err error
		if cluster, more, err = f.next(cluster); err != nil {
			return nil, err
		}
		if len(spans) > len(f.table) {
			return nil, errBadFAT // a chain that goes round
		}
	}
	return spans, nil
}

// list returns what a directory holds.
func (f *fatReader) list(spans []span) ([]fatEntry, error) {
	var found []fatEntry
	var slots []int64
	var units []uint16
	for _, s := range spans {
		content := make([]byte, s.size)
		if _, err := f.file.ReadAt(content, s.offset); err != nil {
			return nil, err
		}
		for at := 0; at+32 <= len(content); at += 32 {
			raw := content[at : at+32]
			switch {
			case raw[0] == 0:
				return found, nil
			case raw[0] == 0xe5: // deleted
			case raw[11]&0x3f == 0x0f: // a part of a long name; the last part comes first
				slots, units = slices.Insert(slots, 0, s.offset+int64(at)), append(slotUnits(raw), units...)
				continue
			case raw[11]&0x08 == 0 && raw[0] != '.':
				found = append(found, entryOf(raw, slots, units))
			}
			slots, units = nil, nil
		}
	}
	return found, nil
}

// entryOf reads an entry with the long name in front of it, if any.
func entryOf(raw []byte, slots []int64, units []uint16) fatEntry {
	e := fatEntry{
		dir: raw[11]&0x10 != 0, size: int64(binary.LittleEndian.Uint32(raw[28:])), slots: slots,
		first: uint32(binary.LittleEndian.Uint16(raw[20:]))<<16 | uint32(binary.LittleEndian.Uint16(raw[26:])),
	}
	if end := slices.Index(units, 0); end >= 0 {
		units = units[:end]
	}
	if e.name = string(utf16.Decode(units)); len(slots) == 0 {
		e.name = shortName(raw)
	}
	return e
}

// shortName reads a name of eight and three characters; two bits say which of them are
// in lower case, as all but DOS have it.
func shortName(raw []byte) string {
	base, ext := strings.TrimRight(string(raw[:8]), " "), strings.TrimRight(string(raw[8:11]), " ")
	if raw[12]&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if raw[12]&0x10 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// slotParts are where a part of a long name has its 13 UTF-16 units.
var slotParts = [][2]int{{1, 11}, {14, 26}, {28, 32}}

func slotUnits(raw []byte) []uint16 {
	var units []uint16
	for _, part := range slotParts {
		for at := part[0]; at < part[1]; at += 2 {
			units = append(units, binary.LittleEndian.Uint16(raw[at:]))
		}
	}
	return units
}

// rename gives an entry another long name of as many UTF-16 units. It changes neither the
// short name nor the sum of it that ties the two.
func (f *fatReader) rename(e fatEntry, name string) error {
	units := utf16.Encode([]rune(name))
	if len(units) != len(utf16.Encode([]rune(e.name))) || len(e.slots) == 0 {
		return fmt.Errorf("%q cannot take the place of %q: %w", name, e.name, errBadFAT)
	}
	for _, slot := range e.slots {
		for _, part := range slotParts {
			n := min((part[1]-part[0])/2, len(units))
			raw := make([]byte, 2*n)
			for i, u := range units[:n] {
				binary.LittleEndian.PutUint16(raw[2*i:], u)
			}
			if _, err := f.file.WriteAt(raw, slot+int64(part[0])); err != nil {
				return err
			}
			units = units[n:]
		}
	}
	return nil
}

// settleFAT gives files that were written under aliases their names, and makes sure that
// everything is there that was to be copied, and nothing else.
func settleFAT(image *os.File, t *fatTree) error {
	f, err := openFAT(image)
	if err != nil {
		return err
	}
	root := f.root
	if root == nil {
		if root, err = f.spans(f.first); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	if err := f.settle(root, "/", t, seen); err != nil {
		return err
	}
	for _, target := range t.order {
		if n := t.nodes[target]; !seen[target] {
			return fmt.Errorf("%s: mtools did not put it into the file system as %s", n.source, target)
		}
	}
	return nil
}

// settle is settleFAT for one directory and those below.
func (f *fatReader) settle(spans []span, dir string, t *fatTree, seen map[string]bool) error {
	entries, err := f.list(spans)
	if err != nil {
		return err
	}
	byAlias := map[string]string{}
	for _, target := range t.in[dir] {
		byAlias[t.nodes[target].alias] = target
	}
	for _, e := range entries {
		target, ok := byAlias[e.name]
		if !ok {
			return fmt.Errorf("mtools put %q into %s of the file system, which nothing asked for", e.name, dir)
		}
		if err := f.settleOne(e, target, t, seen); err != nil {
			return err
		}
	}
	return nil
}

// settleOne is settleFAT for one file, or a directory and what is in it.
func (f *fatReader) settleOne(e fatEntry, target string, t *fatTree, seen map[string]bool) error {
	n := t.nodes[target]
	if seen[target] || e.dir != n.dir || (!n.dir && e.size != n.size) {
		return fmt.Errorf("%s: in the file system %s has %d bytes, not %d: mtools wrote something else, or it changed meanwhile", n.source, target, e.size, n.size)
	}
	seen[target] = true
	if name := path.Base(target); name != n.alias {
		if err := f.rename(e, name); err != nil {
			return err
		}
	}
	if !n.dir {
		return nil
	}
	spans, err := f.spans(e.first)
	if err != nil {
		return err
	}
	return f.settle(spans, target, t, seen)
}
