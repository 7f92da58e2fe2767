package executor

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// fillAlign is what runs of bytes are rounded out to: the largest sector.
const fillAlign = 4096

// fill copies size bytes of file into the partition, leaving out what need not be
// written.
func (c *creation) fill(ctx context.Context, file *os.File, size disk.Bytes, format string) error {
	extents, err := c.needed(file, size, format)
	if err != nil {
		return err
	}
	var total, done disk.Bytes
	for _, e := range extents {
		total += e.Size
	}
	for _, e := range extents {
		if err := c.copyExtent(ctx, file, e); err != nil {
			return err
		}
		done += e.Size
		c.env.report(Event{Phase: Progress, Action: c.action.Kind(), Partition: c.action.Number, Done: done, Total: total})
	}
	return nil
}

// needed returns the runs of file that must be written. Onto plain space that
// reads as zero these are the file's own data. Elsewhere holes count too: what is
// not written there reads as rubbish. Of an ext file system, blocks that are
// neither written nor in use may be left so.
func (c *creation) needed(file *os.File, size disk.Bytes, format string) ([]disk.Extent, error) {
	whole := []disk.Extent{{Size: size}}
	zeroed := c.sector == 0 && c.dev.ZeroesDiscarded()
	if !zeroed && !strings.HasPrefix(format, "ext") {
		return whole, nil
	}
	data, err := dataExtents(file, size)
	if err != nil {
		return nil, err
	}
	if !zeroed {
		used, err := usedExtents(file, size)
		if err != nil {
			return nil, err
		}
		data = append(data, used...)
	}
	return merge(data, size), nil
}

// dataExtents returns the runs of a sparse file that are not holes (lseek(2),
// SEEK_DATA). Where the file system cannot tell, that is the whole file.
func dataExtents(file *os.File, size disk.Bytes) ([]disk.Extent, error) {
	var extents []disk.Extent
	for at := int64(0); at < int64(size); {
		start, err := file.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if errors.Is(err, unix.EINVAL) {
			return []disk.Extent{{Size: size}}, nil
		}
		if err != nil {
			return nil, err
		}
		end, err := file.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		extents = append(extents, disk.Extent{Offset: disk.Bytes(start), Size: disk.Bytes(end - start)})
		at = end
	}
	return extents, nil
}

// merge sorts extents, rounds them out to whole sectors and joins what touches.
func merge(extents []disk.Extent, size disk.Bytes) []disk.Extent {
	slices.SortFunc(extents, func(a, b disk.Extent) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	var merged []disk.Extent
	for _, e := range extents {
		start, end := e.Offset.RoundDown(fillAlign), min(e.End().RoundUp(fillAlign), size)
		if n := len(merged); n > 0 && start <= merged[n-1].End() {
			merged[n-1].Size = max(merged[n-1].End(), end) - merged[n-1].Offset
			continue
		}
		merged = append(merged, disk.Extent{Offset: start, Size: end - start})
	}
	return merged
}

// copyExtent copies one run, encrypted where the partition is. The content's last
// sector is filled up with zeroes.
func (c *creation) copyExtent(ctx context.Context, file *os.File, e disk.Extent) error {
	return c.pipeline.each(ctx, e.Size, func(off, n disk.Bytes) error {
		at := e.Offset + off
		buf := make([]byte, n.RoundUp(max(c.sector, 1)))
		if m, err := file.ReadAt(buf[:n], int64(at)); err != nil && !(errors.Is(err, io.EOF) && m == int(n)) {
			return err
		}
		if c.encrypt != nil {
			c.encrypt.encrypt(buf, buf, at)
		}
		_, err := c.data.WriteAt(buf, int64(at))
		return err
	})
}
