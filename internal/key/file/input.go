package file

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/sealpart/sealpart/internal/secret"
)

// Stdin is the name of standard input where a key file is named, as with cryptsetup.
const Stdin = "-"

// Input is a stream that holds one key. It can be read once only, and the key is wanted
// more often: it is kept.
type Input struct {
	once sync.Once
	from io.Reader
	key  *secret.Buffer
	err  error
}

// NewInput returns a stream of which nothing has been read.
func NewInput(from io.Reader) *Input { return &Input{from: from} }

// Forget wipes what was kept. The stream cannot be read again.
func (i *Input) Forget() {
	i.once.Do(func() {})
	i.key.Wipe()
	if i.err == nil {
		i.err = errors.New("the key on standard input was used before, and is not kept")
	}
}

// read returns a part of what the stream holds.
func (i *Input) read(ctx context.Context, part source.Part) (*secret.Buffer, error) {
	i.once.Do(func() { i.key, i.err = source.ReadAll(ctx, i.from, "standard input") })
	if i.err != nil {
		return nil, i.err
	}
	return part.Of(i.key, "standard input")
}
