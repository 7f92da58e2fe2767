package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/internal/modhex"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/wholefile"
	"golang.org/x/sys/unix"
)

// Files are the key files that a run has made.
type Files struct{ made []string }

// TakeBack removes them. That is for a run that has written to no disk: nothing opens by them.
func (f *Files) TakeBack() (err error) {
	for _, path := range f.made {
		err = errors.Join(err, resolve.Tree{Trusted: true}.Remove(path))
	}
	f.made = nil
	return err
}

// keep writes the key to a new file, durably, which only its owner can read, and
// returns it. Where the file is there it returns the key that it holds, and wipes text;
// who else could have put one there would have a key to the volume, so nobody else may be
// able to. There is no line's end, so that the file serves as cryptsetup's --key-file.
func (f *Files) keep(text *secret.Buffer, path string) (*secret.Buffer, error) {
	err := wholefile.Create(path, 0o600, func(file *os.File) error {
		_, err := file.Write(text.Bytes())
		return err
	})
	if err == nil && f != nil {
		f.made = append(f.made, path)
	}
	if err == nil {
		return text, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return text, fmt.Errorf("write the recovery key: %w", err)
	}
	kept, err := read(path, len(text.Bytes()))
	if err != nil {
		return text, fmt.Errorf("there is a file in the place of the recovery key: %w", err)
	}
	text.Wipe()
	return kept, nil
}

// read returns the key that a file holds. A person may have written it.
func read(path string, length int) (*secret.Buffer, error) {
	file, err := resolve.Trusted(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s (%s) is not a file of one owner, so its key may be known to others", path, info.Mode())
	}
	room, err := secret.New(length + 3) // a line's end, and one byte to see that it is too long
	if err != nil {
		return nil, err
	}
	defer room.Wipe()
	n, err := io.ReadFull(file, room.Bytes())
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	key, err := modhex.Normalize(room.Bytes()[:n])
	if err == nil && (key == nil || !bytes.HasPrefix(room.Bytes()[:n], key.Bytes())) {
		key.Wipe()
		err = fmt.Errorf("%s does not hold a recovery key as one is written; move it away", path)
		key = nil
	}
	return key, err
}
