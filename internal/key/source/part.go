package source

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
)

// Part is which bytes of a file are the key.
type Part struct {
	Offset, Size disk.Bytes // size 0: to the end
}

// Of copies that part of what was read. Less than all of it is no key: the file may be
// cut off.
func (p Part) Of(whole *secret.Buffer, name string) (*secret.Buffer, error) {
	have := disk.Bytes(len(whole.Bytes()))
	size := p.Size
	if size == 0 {
		size = have - p.Offset
	}
	if size <= 0 || p.Offset > have-size {
		return nil, fmt.Errorf("key file %s has %d bytes; the key is %d of them, from %d on", name, int64(have), int64(max(size, 1)), int64(p.Offset))
	}
	key, err := secret.New(int(size))
	if err != nil {
		return nil, err
	}
	copy(key.Bytes(), whole.Bytes()[p.Offset:])
	return key, nil
}
