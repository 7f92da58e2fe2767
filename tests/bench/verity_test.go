package bench

import (
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// verityRow writes a hash tree, both sides with the parameters that they take when
// none are given: the same.
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
				s, _ := run(t, w.sealpart, "verity", "format", "--progress", "none", data, hashes)
				return s
			},
			peer: func(t testing.TB) sample {
				s, _ := run(t, "veritysetup", "format", data, hashes)
				return s
			},
		}
	},
}
