package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/verity"
)

// formatVerity is the argument that makes this test program write a tree instead:
// ours is measured as a process of its own, too.
const formatVerity = "format-verity"

const verityBlock = 4096

// verityRow writes a hash tree.
var verityRow = row{
	name: "verity", work: "verity tree of 2 GiB on tmpfs", against: "veritysetup format",
	program: "veritysetup", goal: goal{ratio: 4}, show: inSeconds,
	prepare: func(t *testing.T, w *workshop) contest {
		size := w.size(2*disk.GiB, 64*disk.MiB)
		dir := memory.dir(t, 2*size)
		data, hashes := filepath.Join(dir, "data"), filepath.Join(dir, "hashes")
		randomFile(t, data, size)
		return contest{
			ours: func(t testing.TB) sample {
				s, _ := run(t, os.Args[0], formatVerity, data, hashes)
				return s
			},
			peer: func(t testing.TB) sample {
				s, _ := run(t, "veritysetup", "format", data, hashes)
				return s
			},
		}
	},
}

// verityTree hashes the file data with the parameters that veritysetup takes when
// none are given.
func verityTree(data, hashes string) error {
	in, err := os.Open(data)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(hashes)
	if err != nil {
		return err
	}
	_, err = verity.Format(context.Background(), in, out, verity.Options{Superblock: verity.Superblock{
		UUID: uuid.Max, Algorithm: "sha256", DataBlockSize: verityBlock, HashBlockSize: verityBlock,
		DataBlocks: info.Size() / verityBlock, Salt: make([]byte, 32),
	}})
	if err != nil {
		return err
	}
	return out.Close()
}
