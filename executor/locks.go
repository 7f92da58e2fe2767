package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// Locked calls do under the lock of the header that lies in home, which the programs of
// libcryptsetup take too: while do reads a header nobody changes it, and while it changes
// one nobody reads it; and what do reads is what they wrote, not what is cached. What lies in an image file is locked with the image, by who opened
// it, and what is only in memory is nobody else's. The end of ctx ends the wait for the lock.
func Locked(ctx context.Context, home io.ReaderAt, mode claim.Mode, do func() error) (err error) {
	lock, err := lockHeader(ctx, home, mode)
	if err != nil {
		return err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Release()) }()
	}
	if section, ok := home.(*blockdev.Section); ok {
		if err := section.Forget(); err != nil {
			return err
		}
	}
	return do()
}

// lockHeader takes the lock of a header, nil where there is none to take.
func lockHeader(ctx context.Context, home io.ReaderAt, mode claim.Mode) (*claim.Lock, error) {
	if file, ok := home.(*os.File); ok {
		return claim.HeaderFile(ctx, file, mode)
	}
	number, err := numberOf(home)
	if err != nil || number == "" {
		return nil, err
	}
	return claim.Header(ctx, number, mode)
}

// numberOf returns the number of the block device that is the place of a header, "" where
// it is none.
func numberOf(home io.ReaderAt) (string, error) {
	if section, ok := home.(*blockdev.Section); ok {
		return section.Number()
	}
	return "", nil
}

// readLocked reads the header of a volume while nobody changes it.
func readLocked(ctx context.Context, part blockdev.Device) (header *luks2.Header, err error) {
	err = Locked(ctx, part, claim.Read, func() (err error) {
		header, err = luks2.Read(part, int64(part.Size()))
		return err
	})
	return header, err
}

// changing calls do under the lock for writing, if the header on home is still the one
// that h was made from. Between reading and changing it keys may have been added by others,
// and what do would write into free space of then may be theirs now. A wait for the lock is
// not cut short: what was done is to be brought to the disk.
func changing(h *luks2.Header, home luks2.Device, do func() error) error {
	err := Locked(context.Background(), home, claim.Write, func() error {
		if err := h.Unchanged(home); err != nil {
			return err
		}
		return do()
	})
	if errors.Is(err, luks2.ErrChanged) {
		return &overtakenError{err}
	}
	return err
}

// overtakenError says that another program changed a header on which we worked.
type overtakenError struct{ error }

// Unwrap returns what was found.
func (e *overtakenError) Unwrap() error { return e.error }

// Error says who.
func (e *overtakenError) Error() string {
	return "another program changed the header: " + e.error.Error()
}

// Hint says how to go on.
func (*overtakenError) Hint() string {
	return "what it did is as it left it; run again to go on from there"
}

// commit brings the header in memory to the disk.
func (c *conversion) commit() error {
	return changing(c.header, c.home, func() error { return c.header.Commit(c.home) })
}

// holdVolume takes the lock of a volume that an action re-encrypts, before anything is made
// of what its header says. Which lock that is, the header says: read again under the lock, it
// must be of that volume still (conversion.sameVolume).
func (x *run) holdVolume(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Reencrypt)
	if !ok {
		return nil
	}
	if !a.Resume && a.Mode != plan.ModeRekey {
		return x.hold(ctx, a.Encryption.UUID.String())
	}
	c, done, err := x.headerOf(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	header, _, err := c.findHeader()
	if err != nil {
		return err
	}
	x.uuids[a.Number] = header.UUID
	return x.hold(ctx, header.UUID)
}

// sameVolume refuses a header, read under the lock, that is not of the volume which is locked.
func (c *conversion) sameVolume(header *luks2.Header) error {
	if c.uuid == "" || header.UUID == c.uuid {
		return nil
	}
	return &overtakenError{fmt.Errorf("%w: it is that of the volume %s, and was that of %s", luks2.ErrChanged, header.UUID, c.uuid)}
}

// hold takes the lock of the volume's re-encryption, by its UUID, and keeps it until the
// run ends: cryptsetup opens, repairs or continues the volume only under it. It is for
// block devices. An image file is locked as a whole, and images that are made the same have
// volumes of the same UUID.
func (x *run) hold(ctx context.Context, uuid string) error {
	dev, ok := x.dev.(onMachine)
	if !ok || !dev.IsBlockDevice() || x.held[uuid] != nil {
		return nil
	}
	lock, err := claim.Reencryption(ctx, uuid)
	if err == nil {
		x.held[uuid] = lock
	}
	return err
}

// onMachine is a disk or an image file, not one that is only in memory.
type onMachine interface{ IsBlockDevice() bool }

// letGo gives back what hold took.
func (x *run) letGo() error {
	var err error
	for _, lock := range x.held {
		err = errors.Join(err, lock.Release())
	}
	return err
}
