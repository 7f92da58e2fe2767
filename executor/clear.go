package executor

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// At the end of a conversion from plain data the partition is header, cipher text, and
// zeros. Not all of it is rewritten: a shift leaves alone what lies behind the data, and with
// free_space = "discard" what the file system does not use stays behind in the clear until
// it is zeroed. That happens once, before the header is finished, whichever run gets there:
// so the note of the conversion (wipe.go) says from its begin on what is to be cleared.
type clearing string

const (
	clearNothing clearing = ""
	clearBehind  clearing = "behind" // what lies behind the data
	clearFree    clearing = "free"   // that, and what the file system does not use
)

// toClear decides what a conversion of the file system in plain will leave in the clear.
func (c *conversion) toClear(plain io.ReaderAt) clearing {
	if c.action.FreeSpace == definitions.FreeDiscard {
		_, err := usedExtents(plain, c.action.DataSize)
		if err == nil {
			return clearFree
		}
		c.report(Progress, "free space is encrypted too: "+err.Error(), 0)
	}
	if c.action.Room == plan.RoomBehind {
		return clearBehind
	}
	return clearNothing
}

// lookForFree finds out which bytes the file system uses, where the others are not to be
// encrypted: of a file system that is plain, encrypted, or some of both. One that cannot be
// understood counts as used throughout.
func (c *conversion) lookForFree(view *volumeReader) {
	if c.leaves != clearFree {
		return
	}
	used, err := usedExtents(view, c.action.DataSize)
	if err != nil {
		c.report(Progress, "free space is not told from what is in use: "+err.Error(), 0)
		return
	}
	c.used = merge(used, c.action.DataSize)
}

// clear makes all of the partition read as zero that is neither header nor data. It comes
// when the last zone is written and before the header is finished: a power cut leaves some
// of it there, and the last zone hot, so that the next run does all of this again. Where
// free space could not be told from what is in use, the note of it stays. end is where the
// moved first bytes begin, or the partition ends.
func (c *conversion) clear(ctx context.Context, end disk.Bytes) error {
	if c.leaves == clearNothing {
		return nil
	}
	offset := disk.Bytes(c.header.DataOffset())
	if c.used != nil {
		for _, e := range c.used.free(c.action.DataSize) {
			e.Offset += offset
			if err := blockdev.Zero(c.part, e); err != nil {
				return fmt.Errorf("clear free space: %w", err)
			}
		}
	}
	if err := c.clearBehind(ctx, offset+c.action.DataSize, end); err != nil {
		return fmt.Errorf("clear what lies behind the data: %w", err)
	}
	if c.leaves == clearBehind || c.used != nil {
		c.leaves = clearNothing
	}
	return c.part.Sync()
}

// clearBehind zeroes what lies behind the data: up to the plain copy of the first bytes,
// which the finished header has wiped, and at the end of the partition what is less than a
// block. What reads as zero already is not written.
func (c *conversion) clearBehind(ctx context.Context, from, to disk.Bytes) error {
	return errors.Join(c.zero(ctx, from, to), c.zero(ctx, max(from, c.deviceSize()), c.part.Size()))
}

// zero makes the partition's bytes from one place to another read as zero.
func (c *conversion) zero(ctx context.Context, from, to disk.Bytes) error {
	if from >= to {
		return nil
	}
	return blockdev.NonZero(ctx, c.part, disk.Extent{Offset: from, Size: to - from}, func(run disk.Extent) error {
		return blockdev.Zero(c.part, run)
	})
}

// clearFinished does what clear does on a volume whose conversion another program finished.
// It may have been in use since: its file system, as it is now, says where its data ends. Where
// that cannot be told, the note stays.
func (c *conversion) clearFinished(ctx context.Context, key *secret.Buffer) error {
	note, ok, err := c.ownNote(key)
	if err != nil || !ok || note.Clear == clearNothing {
		return err
	}
	c.leaves = note.Clear
	segment := c.header.Segments()[0]
	cipher, err := cipherOf(segment, key)
	if err != nil {
		return err
	}
	defer cipher.Wipe()
	view := &volumeReader{part: c.part, segments: []luks2.Segment{segment}, cipher: cipher, size: c.part.Size() - disk.Bytes(segment.Offset)}
	content, err := probe.Content(view, view.size)
	if err != nil {
		return err
	}
	if content.Size == 0 || content.Size > view.size {
		c.report(Progress, "plain text may be left: the volume holds no file system that says where its data ends", 0)
		return nil
	}
	c.action.DataSize = content.Size.RoundUp(claimBlock)
	c.lookForFree(view)
	return c.clear(ctx, c.part.Size())
}

// finishLeftover does what is left of a conversion whose data is all under its new key.
func (c *conversion) finishLeftover(ctx context.Context, key *secret.Buffer) error {
	if err := c.clearFinished(ctx, key); err != nil {
		return err
	}
	return c.wipeLeftover(key)
}
