package mkfs

import (
	"cmp"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Nameless makes a temporary file in dir, "" being os.TempDir, that nobody else can open
// and that goes with us, however we end. Some file systems make none without a name; there
// a kill between making it and taking its name away leaves an empty file.
func Nameless(dir string) (*os.File, error) {
	file, err := os.OpenFile(cmp.Or(dir, os.TempDir()), unix.O_TMPFILE|os.O_EXCL|os.O_RDWR, 0o600)
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return file, err
	}
	if file, err = os.CreateTemp(dir, "sealpart-*"); err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}
