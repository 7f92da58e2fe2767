package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/planner/plan"
)

// Split copies the content of partitions, as it lies on the disk, to the files that
// the rows of an applied plan name. Files that are there are not written over. It
// writes nothing to the disk; a power cut leaves whole files, or none.
// They may be read by those who may read the image. Where one fails, those before it go
// again: the next run would find them in its way.
func Split(ctx context.Context, image blockdev.Device, plan *plan.Plan) (err error) {
	var files []string
	defer func() {
		for _, path := range files {
			if err != nil {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	for _, r := range plan.Rows {
		if r.SplitPath == "" {
			continue
		}
		if made, err := isMade(image, plan.Target.SectorSize, r); err != nil {
			return err
		} else if !made {
			continue
		}
		if err := splitOff(ctx, image, r); err != nil {
			return fmt.Errorf("split off partition %d: %w", r.Number, err)
		}
		files = append(files, r.SplitPath)
	}
	return nil
}

// isMade reports whether a row's partition is in the table: one that was to be made may have
// been left.
func isMade(image blockdev.Device, sectorSize disk.Bytes, r plan.Row) (bool, error) {
	if r.Old != nil {
		return true, nil
	}
	state, err := gpt.Read(image, image.Size(), sectorSize)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(state.Entries, func(e disk.Entry) bool { return e.Number == r.Number }), nil
}

// splitOff copies one partition.
func splitOff(ctx context.Context, image blockdev.Device, r plan.Row) error {
	part, err := blockdev.NewSection(image, r.Extent)
	if err != nil {
		return err
	}
	info, err := os.Stat(image.Name())
	if err != nil {
		return err
	}
	return wholefile.Create(r.SplitPath, info.Mode().Perm(), func(file *os.File) error { return copySparse(ctx, file, part) })
}

// copySparse writes all of src to file, and leaves holes for zeroes.
func copySparse(ctx context.Context, file *os.File, src blockdev.Device) error {
	buf, zeroes := make([]byte, piece), make([]byte, piece)
	for at := disk.Bytes(0); at < src.Size(); at += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(piece, src.Size()-at)]
		if err := readFull(src, part, at); err != nil {
			return err
		}
		if bytes.Equal(part, zeroes[:len(part)]) {
			continue
		}
		if _, err := file.WriteAt(part, int64(at)); err != nil {
			return err
		}
	}
	return file.Truncate(int64(src.Size()))
}
