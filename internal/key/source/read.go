package source

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/internal/secret"
)

// maxSize is the longest key file, cryptsetup's limit.
const maxSize = 8 << 20

// ReadAll reads a key straight into locked memory, from what may have nothing to read for a
// long time; errors call it name. It ends when ctx is done.
func ReadAll(ctx context.Context, from io.Reader, name string) (*secret.Buffer, error) {
	r := patiently(ctx, from)
	room, err := secret.New(4096)
	if err != nil {
		return nil, err
	}
	defer func() { room.Wipe() }()
	for n := 0; ; {
		m, err := r.Read(room.Bytes()[n:])
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return trim(room, n, name)
		case err != nil:
			return nil, err
		case n > maxSize:
			return nil, fmt.Errorf("key file %s is larger than %d bytes", name, maxSize)
		case n == len(room.Bytes()):
			if room, err = double(room); err != nil {
				return nil, err
			}
		}
	}
}

// double moves a secret into twice the room.
func double(room *secret.Buffer) (*secret.Buffer, error) {
	larger, err := secret.New(2 * len(room.Bytes()))
	if err != nil {
		return room, err
	}
	copy(larger.Bytes(), room.Bytes())
	room.Wipe()
	return larger, nil
}

// trim returns the first n bytes of room as a secret of their own.
func trim(room *secret.Buffer, n int, path string) (*secret.Buffer, error) {
	if n == 0 {
		return nil, fmt.Errorf("key file %s is empty", path)
	}
	key, err := secret.New(n)
	if err != nil {
		return nil, err
	}
	copy(key.Bytes(), room.Bytes())
	return key, nil
}
