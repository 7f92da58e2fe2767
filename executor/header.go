package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/luks2"
)

// headerError is a refusal of what a volume's header does not allow, with what to do next.
type headerError struct {
	reason, hint string
}

func (e *headerError) Error() string { return e.reason }

// Hint returns the next step.
func (e *headerError) Hint() string { return e.hint }

// BackupHeader writes the LUKS2 header and keyslots of a volume to w, in the form of
// cryptsetup luksHeaderBackup. A volume whose conversion is not finished is refused:
// such a backup could never be restored.
func BackupHeader(ctx context.Context, part blockdev.Device, w io.Writer) error {
	return Locked(ctx, part, claim.Read, func() error {
		header, err := luks2.Read(part, int64(part.Size()))
		if err != nil {
			return err
		}
		if err := settled(header); err != nil {
			return fmt.Errorf("back up the header: %w", err)
		}
		return header.Backup(part, w)
	})
}

// RestoreHeader puts a backup of size bytes back. It refuses, with nothing written, a
// backup that is not whole, of another volume, for data that lies elsewhere or is
// encrypted otherwise or by another key, and one taken or to be restored while a
// conversion is not finished. Where the volume's own header cannot be read there is
// nothing to compare with, and force must be set; it changes nothing else.
//
// It returns the keyslots that come back: who knows what opens them can open the volume
// again, whatever they were removed for. For that, too, force must be set.
//
// What a power cut leaves is told at luks2.Header.RestoreTo. It may be called again.
func RestoreHeader(ctx context.Context, env Env, part blockdev.Device, backup io.ReaderAt, size int64, force bool) ([]Returning, error) {
	header, err := readBackup(backup, size)
	if err == nil {
		err = changeable(header, part)
	}
	if err != nil {
		return nil, fmt.Errorf("the backup: %w", err)
	}
	var returning []Returning
	err = Locked(ctx, part, claim.Write, func() (err error) {
		returning, err = restoreHeader(env, part, header, backup, force)
		return err
	})
	return returning, err
}

// restoreHeader puts back a header that was read from a backup.
func restoreHeader(env Env, part blockdev.Device, header *luks2.Header, backup io.ReaderAt, force bool) ([]Returning, error) {
	now, err := luks2.Read(part, int64(part.Size()))
	switch {
	case errors.Is(err, luks2.ErrNotLUKS2), errors.Is(err, luks2.ErrDamaged):
		now, err = nil, restorableBlindly(err, force)
	case err == nil:
		now, err = comparableTo(header, now, part, force)
	}
	if err != nil {
		return nil, err
	}
	back := returning(header, now)
	if len(back) > 0 && !force {
		return nil, &headerError{"keyslots that the volume does not have any more would come back: " + spokenReturning(back),
			"whoever has such a key could open the volume again; if that is wanted, give --force"}
	}
	if err := header.RestoreTo(part, backup, now, env.Random); err != nil {
		return nil, fmt.Errorf("restore the header: %w", err)
	}
	return back, nil
}

// comparableTo returns the header on the disk if the backup fits it, nil where it is of no
// volume that could be opened, so that there is nothing to compare with.
func comparableTo(backup, now *luks2.Header, part blockdev.Device, force bool) (*luks2.Header, error) {
	if err := errors.Join(now.Writable(), settled(now)); err != nil {
		return nil, fmt.Errorf("restore the header: %w", err)
	}
	if err := now.Finished(placeOf(part)); err != nil {
		return nil, restorableBlindly(fmt.Errorf("the header on the disk: %w", err), force)
	}
	return now, restorable(backup, now)
}

// readBackup reads a backup that is whole: both copies good, no conversion in it.
func readBackup(backup io.ReaderAt, size int64) (*luks2.Header, error) {
	header, err := luks2.Read(backup, size)
	if err != nil {
		return nil, err
	}
	if problem := header.Recovered(); problem != "" {
		return nil, fmt.Errorf("one copy of the header in it is not good: %s", problem)
	}
	return header, settled(header)
}

// settled refuses a header of a volume on which work is not finished: going back to
// it later would be to forget how far the work got, or to do its end again over data
// that are there by then.
func settled(h *luks2.Header) error {
	if err := converted(h); err != nil || len(notesOf(h, disk.TokenWipe)) == 0 {
		return err
	}
	return errUnfinished
}

var errUnfinished = &headerError{"a conversion of the volume was not finished", "\"sealpart apply\" finishes it; a header from the middle of it would be of no use later"}

// converted refuses a header of a volume whose data is being rewritten.
func converted(h *luks2.Header) error {
	if slices.ContainsFunc(h.Requirements(), func(r string) bool { return strings.HasPrefix(r, "online-reencrypt") }) {
		return errUnfinished
	}
	return nil
}

// changeable refuses a volume whose header must not be changed. It comes before any key
// is asked for.
func changeable(h *luks2.Header, part blockdev.Device) error {
	if err := errors.Join(h.Writable(), settled(h)); err != nil {
		return err
	}
	return h.Finished(placeOf(part))
}

// restorable refuses a backup that does not fit the volume as it is now.
func restorable(backup, now *luks2.Header) error {
	if err := now.SameData(backup); err != nil {
		return &headerError{"the backup does not fit: " + err.Error(), "the header on the disk is whole; with that of the backup the data could not be read"}
	}
	return nil
}

// restorableBlindly decides where there is no header to compare with.
func restorableBlindly(damage error, force bool) error {
	if force {
		return nil
	}
	return &headerError{
		fmt.Sprintf("%v; whether the backup is of this volume cannot be told", damage),
		"where a conversion was interrupted, \"sealpart apply\" goes on; if you are sure that the backup is of this volume, give --force",
	}
}
