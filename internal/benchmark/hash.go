package benchmark

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/verity"
)

// Hash is how fast the blocks of a verity hash tree are hashed.
type Hash struct {
	Name      string  `json:"name"`       // the kernel's name: "sha256"
	BlockSize int     `json:"block_size"` // bytes
	Rate      float64 `json:"rate"`       // bytes a second and core
}

// MeasureHash measures verity's own path: a tree over data in memory that is made
// and thrown away.
func MeasureHash(algorithm string, d time.Duration) (Hash, error) {
	h := Hash{Name: algorithm, BlockSize: 4096}
	const dataBlocks = 4096
	o := verity.Options{Superblock: verity.Superblock{
		UUID: uuid.Max, Algorithm: algorithm, Salt: make([]byte, 32),
		DataBlockSize: h.BlockSize, HashBlockSize: h.BlockSize, DataBlocks: dataBlocks,
	}}
	rate, err := measure(d, func() error {
		_, err := verity.Format(context.Background(), unwritten{}, unread{}, o)
		return err
	})
	h.Rate = rate * dataBlocks * float64(h.BlockSize)
	return h, err
}

// unwritten is a data device of memory as it comes. To fill it would be measured
// as well; a hash takes the same time for any content.
type unwritten struct{}

func (unwritten) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

// unread is a hash device that forgets.
type unread struct{}

func (unread) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
