package trailing

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
)

// A mark is one sector with which a conversion says, before it writes anything else to a
// partition, that it has looked at what lies behind the file system. Until the header is in
// its place a power cut leaves the file system, and behind it what the conversion wrote, or
// what a shrink cut off: without the mark the next run could not tell that from data of
// somebody else's. Whoever forges one gives up what he could have overwritten himself.
//
// It lies right before the place of the moved first bytes. Where the file system still
// reaches there, it lies in the second sector of the partition: no ext and no btrfs uses it.
type mark struct {
	UUID       string     `json:"uuid"`               // of the file system
	FileSystem disk.Bytes `json:"file_system,string"` // its size when it was looked behind
	Partition  disk.Bytes `json:"partition,string"`   // the partition's, then
	Grown      disk.Bytes `json:"grown,string"`
	Shift      disk.Bytes `json:"shift,string"`
}

const (
	magic      = "sealpart conversion\n"
	markSize   = 512
	frontMark  = 512  // from the start of the partition
	markBlock  = 4096 // the mark lies at the start of one, before the moved first bytes
	shiftBlock = 4096 // what the size of a partition is rounded down to in a shift
)

// scratch is where a shift puts the moved first bytes and the staged header, from the start
// of the partition; nothing where nothing moves.
func (p Place) scratch() disk.Extent {
	if p.Shift == 0 {
		return disk.Extent{}
	}
	return disk.Extent{Offset: p.Grown.RoundDown(shiftBlock) - 2*p.Shift, Size: 2 * p.Shift}
}

// behind is where the mark lies behind the file system, from the start of the partition.
func (p Place) behind() disk.Bytes { return p.scratch().End() - p.Shift - markBlock }

// hasFront reports whether the file system is of a kind that leaves its second sector alone.
func (p Place) hasFront() bool {
	return strings.HasPrefix(p.Content.Kind, "ext") || p.Content.Kind == "btrfs"
}

// find returns the mark that was made for p.
func (p Place) find(dev blockdev.Device) (mark, bool) {
	if p.Shift == 0 {
		return mark{}, false
	}
	if m, ok := p.at(dev, p.behind()); ok || !p.hasFront() {
		return m, ok
	}
	return p.at(dev, frontMark)
}

// at returns the mark at off, if it was made for p.
func (p Place) at(dev blockdev.Device, off disk.Bytes) (m mark, ok bool) {
	sector := make([]byte, markSize)
	if n, _ := dev.ReadAt(sector, int64(p.Offset+off)); n < len(sector) {
		return mark{}, false
	}
	text, ok := bytes.CutPrefix(bytes.TrimRight(sector, "\x00"), []byte(magic))
	if !ok || json.Unmarshal(text, &m) != nil {
		return mark{}, false
	}
	return m, m.UUID == p.Content.UUID && m.Grown == p.Grown && m.Shift == p.Shift && p.Content.Size <= m.FileSystem
}

// Mark makes the mark durable, before the conversion writes anything else to the partition,
// or moves it behind the file system once that has become small enough. A power cut leaves
// the mark in one of its places or in both. Where there is no place for one, what a power
// cut leaves behind the file system is refused by the next run.
func Mark(dev blockdev.Device, p Place) error {
	m, marked := p.find(dev)
	if !marked {
		m = mark{UUID: p.Content.UUID, FileSystem: p.Content.Size, Partition: p.Size, Grown: p.Grown, Shift: p.Shift}
	}
	sector := make([]byte, markSize)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	copy(sector, magic+string(text))
	if p.Content.Size <= p.behind() {
		if err := write(dev, sector, p.Offset+p.behind()); err != nil {
			return err
		}
		return p.unmarkFront(dev)
	}
	if marked || !p.frontFree(dev) {
		return nil
	}
	return write(dev, sector, p.Offset+frontMark)
}

// Marked reports whether a conversion has left its mark for p.
func Marked(dev blockdev.Device, p Place) bool {
	_, marked := p.find(dev)
	return marked
}

// Unmark takes the mark away again, of a conversion that was not begun. A power cut leaves it,
// and no harm in it, for nothing else was written.
func Unmark(dev blockdev.Device, p Place) error {
	if p.Shift > 0 && p.Content.Size <= p.behind() {
		if _, ok := p.at(dev, p.behind()); ok {
			return write(dev, make([]byte, markSize), p.Offset+p.behind())
		}
	}
	return p.unmarkFront(dev)
}

// frontFree reports whether there is room for a mark in the second sector.
func (p Place) frontFree(dev blockdev.Device) bool {
	sector := make([]byte, markSize)
	n, _ := dev.ReadAt(sector, int64(p.Offset+frontMark))
	return p.hasFront() && n == markSize && bytes.Equal(sector, make([]byte, markSize))
}

// unmarkFront takes the mark at the front away: it must not become part of the volume.
func (p Place) unmarkFront(dev blockdev.Device) error {
	if _, ok := p.at(dev, frontMark); !ok || !p.hasFront() {
		return nil
	}
	return write(dev, make([]byte, markSize), p.Offset+frontMark)
}

// write writes one sector and makes it durable.
func write(dev blockdev.Device, sector []byte, off disk.Bytes) error {
	if _, err := dev.WriteAt(sector, int64(off)); err != nil {
		return err
	}
	return dev.Sync()
}
