package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// claimSize is what the claim replaces: one sector, the unit that storage writes
// whole. The rest of the block around it is written back as it was.
const (
	claimSize  = 512
	claimBlock = 4096
)

// init puts the header in the place of the file system's first bytes. At every
// instant either the file system is whole, or a whole header image is on the disk
// from which the next run goes on without any key:
//
//  1. the first bytes are copied behind the data       (file system whole)
//  2. the header image is staged in the gap behind it  (file system whole)
//  3. the claim: one sector at 0 becomes that of a LUKS2 header with a zero
//     checksum. Nobody takes it for a file system any more, cryptsetup says "not valid" and changes
//     nothing; the staged image is what counts now.
//  4. superblocks that lie behind that sector are zeroed, then keyslots, second
//     header, first header are written                 (staged image counts, or the
//     second header once it is valid)
//  5. the staged image is erased                       (the header counts)
func (c *conversion) init(ctx context.Context, image *front) error {
	if err := c.moveFirst(ctx); err != nil {
		return fmt.Errorf("copy the first %s: %w", c.action.Shift, err)
	}
	if err := c.stage(image.bytes); err != nil {
		return fmt.Errorf("stage the header: %w", err)
	}
	if err := c.writeFront(image.bytes); err != nil {
		return fmt.Errorf("write the header: %w", err)
	}
	return c.eraseStaged()
}

// deviceSize is the part of the partition that a shift uses: whole 4096 byte blocks,
// as cryptsetup demands of the zones.
func (c *conversion) deviceSize() disk.Bytes { return c.part.Size().RoundDown(claimBlock) }

// movedExtent is where the plain copy of the first bytes lies.
func (c *conversion) movedExtent() disk.Extent {
	return disk.Extent{Offset: c.deviceSize() - c.action.Shift, Size: min(c.action.Shift, c.action.DataSize)}
}

// moveFirst copies the first bytes to their place at the end and reads them back.
// A power cut leaves the file system whole and rubbish behind it.
func (c *conversion) moveFirst(ctx context.Context) error {
	moved := c.movedExtent()
	from, to := place{c.part, 0}, place{c.part, moved.Offset}
	if err := c.pipeline.move(ctx, from, to, moved.Size, func(dst, src []byte, _ disk.Bytes) { copy(dst, src) }); err != nil {
		return err
	}
	if err := c.part.Sync(); err != nil {
		return err
	}
	return c.compareFirst(ctx, moved)
}

// compareFirst reads the copy back: it is about to be the only one.
func (c *conversion) compareFirst(ctx context.Context, moved disk.Extent) error {
	return c.pipeline.each(ctx, moved.Size, func(off, n disk.Bytes) error {
		first, second := pieces.Get().(*[piece]byte), pieces.Get().(*[piece]byte)
		defer pieces.Put(first)
		defer pieces.Put(second)
		if err := readFull(c.part, first[:n], off); err != nil {
			return err
		}
		if err := readFull(c.part, second[:n], moved.Offset+off); err != nil {
			return err
		}
		if !bytes.Equal(first[:n], second[:n]) {
			return fmt.Errorf("the copy at %d reads back differently; is the device failing?", moved.Offset+off)
		}
		return nil
	})
}

// stagedOffset is where the header image is staged: the shift bytes before the
// moved copy, which the data never reaches before the image is erased.
func (c *conversion) stagedOffset() disk.Bytes { return c.deviceSize() - 2*c.action.Shift }

// stagedSection is that place.
func (c *conversion) stagedSection() (*blockdev.Section, error) {
	return blockdev.NewSection(c.part, disk.Extent{Offset: c.stagedOffset(), Size: c.action.Shift})
}

// stage writes the header image into the gap, its first block last, so that it is
// valid only when it is whole. A power cut leaves the file system whole. What the header
// counts as its own and the image does not reach is zeroed: the next run takes all of that.
func (c *conversion) stage(image []byte) error {
	at, size := int64(c.stagedOffset()), int64(len(image))
	if _, err := c.part.WriteAt(image[claimBlock:], at+claimBlock); err != nil {
		return err
	}
	rest := disk.Extent{Offset: disk.Bytes(at + size), Size: disk.Bytes(usedFront(c.header) - size)}
	if err := blockdev.WriteZeroes(c.part, rest); err != nil {
		return err
	}
	if err := c.part.Sync(); err != nil {
		return err
	}
	if _, err := c.part.WriteAt(image[:claimBlock], at); err != nil {
		return err
	}
	return c.part.Sync()
}

// writeFront does steps 3 and 4 of init. It may be repeated after a power cut
// anywhere in it, from the staged image.
func (c *conversion) writeFront(image []byte) error {
	if err := c.claim(image); err != nil {
		return err
	}
	second := c.header.HeaderSize
	keyslots := 2 * second
	writes := []func() error{
		c.blind,
		func() error { return c.writeKeyslots(image, keyslots) },
		func() error { return c.put(image[second:keyslots], second) },
		func() error { return c.put(image[claimBlock:second], claimBlock) },
		func() error { return c.put(image[:claimBlock], 0) },
	}
	for _, write := range writes {
		if err := write(); err != nil {
			return err
		}
		if err := c.part.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// claim replaces the first sector: the instant in which the partition stops being
// a file system.
func (c *conversion) claim(image []byte) error {
	block := make([]byte, claimBlock)
	if err := readFull(c.part, block, 0); err != nil {
		return err
	}
	copy(block[:claimSize], image)
	clear(block[luks2.ChecksumOffset:luks2.ChecksumEnd])
	if err := c.put(block, 0); err != nil {
		return err
	}
	return c.part.Sync()
}

// superblocks are where file systems keep theirs, behind the first sector: ext and
// f2fs in the first block, btrfs at 64 KiB. All of them lie before the data.
var superblocks = []disk.Extent{{Offset: claimSize, Size: claimBlock - claimSize}, {Offset: 64 * disk.KiB, Size: claimBlock}}

// blind takes the superblocks away, so that not even "mount -t ext4" mounts what is
// no file system any more and would change it behind our back. It may not be one
// write with the claim: torn, that could kill the file system without claiming it.
func (c *conversion) blind() error {
	for _, e := range superblocks {
		if err := blockdev.WriteZeroes(c.part, e); err != nil {
			return err
		}
	}
	return nil
}

// writeKeyslots writes the keyslots and overwrites what is left of the plain file
// system between them and the data.
func (c *conversion) writeKeyslots(image []byte, from int64) error {
	if err := c.put(image[from:], from); err != nil {
		return err
	}
	used := disk.Bytes(len(image))
	return blockdev.WriteZeroes(c.part, disk.Extent{Offset: used, Size: c.action.Shift - used})
}

func (c *conversion) put(p []byte, off int64) error {
	_, err := c.part.WriteAt(p, off)
	return err
}

// eraseStaged overwrites a staged header image, if one is there. It only looks
// there before the first hot zone, which may overwrite the place with data.
func (c *conversion) eraseStaged() error {
	section, err := c.stagedSection()
	if err != nil {
		return err
	}
	staged, err := luks2.Read(section, int64(section.Size()))
	switch {
	case errors.Is(err, luks2.ErrNotLUKS2), errors.Is(err, luks2.ErrDamaged):
		return nil
	case err != nil:
		return fmt.Errorf("look for the staged header: %w", err)
	case staged.UUID != c.header.UUID:
		return nil
	}
	// A power cut in here leaves a broken image beside a whole header: no matter.
	if err := blockdev.WriteZeroes(section, disk.Extent{Size: disk.Bytes(usedFront(staged))}); err != nil {
		return fmt.Errorf("erase the staged header: %w", err)
	}
	return section.Sync()
}

// usedFront is how many bytes from the start of a volume its header and keyslots
// take.
func usedFront(h *luks2.Header) int64 {
	end := 2 * h.HeaderSize
	for _, slot := range h.Keyslots() {
		end = max(end, slot.AreaOffset+slot.AreaSize)
	}
	return end
}

// findHeader returns the header at the front. Where a power cut came between the
// claim and the finished front, it returns the staged header and its image instead.
func (c *conversion) findHeader() (header *luks2.Header, staged []byte, err error) {
	header, err = luks2.Read(c.home, int64(c.homeSize))
	if err == nil {
		return header, nil, nil
	}
	if c.action.Room == plan.RoomDetached {
		return nil, nil, fmt.Errorf("header file %s: %w", c.action.HeaderPath, err)
	}
	section, sectionErr := c.stagedSection()
	if sectionErr != nil {
		return nil, nil, err
	}
	header, stagedErr := luks2.Read(section, int64(section.Size()))
	if stagedErr != nil {
		return nil, nil, fmt.Errorf("%w; nor is there a staged header at %d: %w", err, c.stagedOffset(), stagedErr)
	}
	staged = make([]byte, usedFront(header))
	return header, staged, readFull(section, staged, 0)
}

// readHeader returns the header at the front, restoring it first from the staged
// image where there is need.
func (c *conversion) readHeader() (*luks2.Header, error) {
	header, staged, err := c.findHeader()
	if err != nil || staged == nil {
		return header, err
	}
	c.header = header
	if err := c.writeFront(staged); err != nil {
		return nil, fmt.Errorf("write the header: %w", err)
	}
	return luks2.Read(c.part, int64(c.part.Size()))
}
