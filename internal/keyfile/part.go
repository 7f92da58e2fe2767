package keyfile

import (
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/secret"
)

// part is which bytes of a file are the key.
type part struct {
	offset, size disk.Bytes // size 0: to the end
}

// of copies that part of what was read. Less than all of it is no key: the file may be
// cut off.
func (p part) of(whole *secret.Buffer, name string) (*secret.Buffer, error) {
	have := disk.Bytes(len(whole.Bytes()))
	size := p.size
	if size == 0 {
		size = have - p.offset
	}
	if size <= 0 || p.offset > have-size {
		return nil, fmt.Errorf("key file %s has %d bytes; the key is %d of them, from %d on", name, int64(have), int64(max(size, 1)), int64(p.offset))
	}
	key, err := secret.New(int(size))
	if err != nil {
		return nil, err
	}
	copy(key.Bytes(), whole.Bytes()[p.offset:])
	return key, nil
}
