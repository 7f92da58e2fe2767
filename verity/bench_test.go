package verity_test

import (
	"context"
	"testing"

	"github.com/sealpart/sealpart/verity"
)

// nowhere is a hash device that forgets.
type nowhere struct{}

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func BenchmarkFormat(b *testing.B) {
	for _, algorithm := range []string{"sha256", "sha512"} {
		b.Run(algorithm, func(b *testing.B) {
			sb := small
			sb.Algorithm, sb.DataBlockSize, sb.HashBlockSize, sb.DataBlocks = algorithm, 4096, 4096, 64<<10
			b.SetBytes(sb.DataBlocks * int64(sb.DataBlockSize))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verity.Format(context.Background(), zeros{}, nowhere{}, verity.Options{Superblock: sb}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
