package mkfs

import (
	"context"
	"errors"
	"os"
)

// makeSwap writes a swap header for the page size of this machine.
func makeSwap(ctx context.Context, image *os.File, fs Filesystem) error {
	if len(fs.CopyFiles) > 0 {
		return errors.New("files cannot be copied into swap space")
	}
	args := []string{"--uuid", fs.UUID.String()}
	if fs.Label != "" {
		args = append(args, "--label", shorten(fs.Label, 15))
	}
	return run(ctx, command{name: "mkswap", args: append(args, given(0)), files: []*os.File{image}})
}
