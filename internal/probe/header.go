package probe

import (
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
)

// Header says what a file of size bytes holds that is to be the detached header of a
// LUKS2 volume. The header counts its progress against the device with the data, of
// which dataSize is the size or, where it is not known yet, an upper bound. It fails
// only where r cannot be read.
func Header(r io.ReaderAt, size, dataSize disk.Bytes) (disk.Content, error) {
	header, err := luks2.Read(r, int64(size))
	if errors.Is(err, luks2.ErrNotLUKS2) || errors.Is(err, luks2.ErrDamaged) {
		return disk.Content{Kind: "crypto_LUKS", Problem: text([]byte(err.Error()))}, nil
	}
	if err != nil {
		return disk.Content{}, fmt.Errorf("looking for a LUKS2 header: %w", err)
	}
	c := disk.Content{
		Kind: "crypto_LUKS", Version: "2", UUID: text([]byte(header.UUID)), Label: text([]byte(header.Label)),
	}
	if all, known := header.DataSize(); known {
		dataSize = min(dataSize, disk.Bytes(all)) // in its last zone a conversion has no tail that reaches to the end
	}
	if c.LUKS, err = LUKS(header, luks2.Place{Size: int64(dataSize), Detached: true}); err != nil {
		c.Problem = text([]byte(err.Error()))
	}
	return c, nil
}
