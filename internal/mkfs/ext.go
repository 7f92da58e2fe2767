package mkfs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/internal/blockdev"
)

// makeExt makes an ext4 with its files in it. Blocks are 4096 bytes, so that LUKS2
// sectors of any size fit; nothing is left for the kernel to initialise later, so
// that what the bitmaps call in use is all that need be copied.
func makeExt(ctx context.Context, image *os.File, fs Filesystem) error {
	tree, err := stage(ctx, fs)
	if err != nil {
		return err
	}
	defer tree.remove()
	args := []string{"-q", "-F", "-b", "4096", "-I", "256", "-m", "1", "-U", fs.UUID.String()}
	if fs.Label != "" {
		args = append(args, "-L", shorten(fs.Label, 16))
	}
	// The seed orders the entries of large directories.
	args = append(args, "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,hash_seed="+
		uuid.NewSHA1(fs.UUID, []byte("ext4 hash seed")).String())
	more, err := moreInodes(image, fs)
	if err != nil {
		return err
	}
	args = append(args, more...)
	files := []*os.File{image}
	if tree.tree != nil {
		args, files = append(args, "-d", given(1)), append(files, tree.tree)
	}
	if err := run(ctx, command{name: "mkfs.ext4", args: append(args, given(0)), files: files, epoch: fs.Epoch}); err != nil {
		return err
	}
	return editExt(ctx, image, fs, tree)
}

// moreInodes returns the arguments for more inodes than mke2fs makes by itself, where there are
// so many files.
func moreInodes(image *os.File, fs Filesystem) ([]string, error) {
	size, err := blockdev.SizeOf(image)
	if err != nil || len(fs.CopyFiles) == 0 {
		return nil, err
	}
	files, err := count(fs.CopyFiles, false)
	if err != nil || files.inodes() <= defaultInodes(size) {
		return nil, err
	}
	return []string{"-N", strconv.Itoa(files.inodes())}, nil
}

// editExt sets what mke2fs -d cannot: owners that staging could not give its
// copies, and, for a given epoch, the times that depend on when the sources were
// read and staged. Inodes of a fresh file system are taken in order, from 11.
func editExt(ctx context.Context, image *os.File, fs Filesystem, tree *staged) error {
	var script strings.Builder
	for _, o := range tree.owners {
		fmt.Fprintf(&script, "sif %s uid %d\nsif %[1]s gid %[3]d\n", quote(o.path), o.uid, o.gid)
	}
	if fs.Epoch != nil && tree.tree != nil {
		last, err := lastInode(image)
		if err != nil {
			return err
		}
		for ino := 11; ino <= last; ino++ {
			fmt.Fprintf(&script, "sif <%d> atime @%d\nsif <%[1]d> ctime @%[2]d\n", ino, fs.Epoch.Unix())
		}
	}
	if script.Len() == 0 {
		return nil
	}
	return debugfs(ctx, image, fs, script.String())
}

// debugfs runs a script. It ends with code 0 even where commands failed, but says
// so: beside the echo of each command it prints only its version.
func debugfs(ctx context.Context, image *os.File, fs Filesystem, script string) error {
	file, err := Nameless(fs.TempDir)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = file.WriteString(script); err != nil {
		return err
	}
	output := &tail{limit: 2*len(script) + 16*strings.Count(script, "\n") + 4096}
	if err := run(ctx, command{
		name: "debugfs", args: []string{"-w", "-f", given(1), given(0)}, files: []*os.File{image, file},
		epoch: fs.Epoch, all: output,
	}); err != nil {
		return err
	}
	for line := range strings.Lines(string(output.bytes)) {
		if !strings.HasPrefix(line, "debugfs: ") && !strings.HasPrefix(line, "debugfs 1.") && strings.TrimSpace(line) != "" {
			return fmt.Errorf("debugfs failed: %s", strings.TrimSpace(line))
		}
	}
	return nil
}

// quote writes a path for debugfs.
func quote(path string) string {
	return `"` + strings.ReplaceAll(path, `"`, `""`) + `"`
}
