package probe

import (
	"fmt"
	"io"

	"github.com/sealpart/sealpart/internal/disk"
)

// A format knows one kind of content: it returns what it found and true, or false.
type format func(*image) (disk.Content, bool)

// containers end the search: what lies inside them, or beside them in space that
// they do not use, is not a second content.
var containers = []format{
	findRAID, findLVM2, findVerity, findIntegrity, findLUKS,
	magics("bcache", magic{4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"}),
	magics("vdo", magic{0, "dmvdo001"}),
	magics("stratis", magic{512 + 4, "!Stra0tis\x86\xff\x02^\x41rh"}),
	magics("BitLocker", magic{3, "-FVE-FS-"}),
}

// fileSystems are all asked; two that answer are ambiguous.
var fileSystems = []format{
	findFAT, findSwap, findXFS, findExt, findBtrfs, findF2FS, findSquashfs, findEROFS,
	findZFS, findISO9660, findExFAT, findNTFS,
	magics("bcachefs", magic{4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"}),
	magics("reiserfs", magic{65588, "ReIsErFs"}, magic{65588, "ReIsEr2Fs"}, magic{65588, "ReIsEr3Fs"}),
	magics("jfs", magic{32768, "JFS1"}),
	magics("apfs", magic{32, "NXSB"}),
}

// magic is a fixed text at a fixed place, in bytes.
type magic struct {
	offset int64
	text   string
}

// magics is a format of which nothing but its presence matters here: it must not
// be taken for an empty partition.
func magics(kind string, any ...magic) format {
	return func(m *image) (disk.Content, bool) {
		for _, g := range any {
			if m.has(g.offset, g.text) {
				return disk.Content{Kind: kind}, true
			}
		}
		return disk.Content{}, false
	}
}

// Content says what the size bytes of r hold. Kind is empty where nothing known is
// found. It fails only where r cannot be read.
func Content(r io.ReaderAt, size disk.Bytes) (disk.Content, error) {
	return new(image).look(r, size)
}

// look is Content, for one device after the other.
func (m *image) look(r io.ReaderAt, size disk.Bytes) (disk.Content, error) {
	m.open(r, size)
	c := m.content()
	if m.err != nil {
		return disk.Content{}, fmt.Errorf("looking for a file system: %w", m.err)
	}
	return c, nil
}

func (m *image) content() disk.Content {
	var found []disk.Content
	for _, find := range containers {
		c, ok := find(m)
		if ok && c.Problem == "" && !m.leftover(c) {
			return c
		} else if ok {
			found = append(found, c) // what else is there decides what to make of it
			break
		}
	}
	for _, find := range fileSystems {
		if c, ok := find(m); ok {
			found = append(found, c)
		}
	}
	if kind := m.tableKind(found); kind != "" {
		found = append(found, disk.Content{Kind: kind})
	}
	if len(found) == 0 {
		return disk.Content{}
	}
	for _, other := range found[1:] {
		found[0].Ambiguous = append(found[0].Ambiguous, other.Kind)
	}
	return found[0]
}

// leftover tells whether a LUKS2 volume is known by its second header only. That may
// be all that a file system made over it has left.
func (m *image) leftover(c disk.Content) bool {
	return c.Kind == "crypto_LUKS" && !m.has(0, luksMagic)
}
