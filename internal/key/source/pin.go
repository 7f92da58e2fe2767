package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
)

// PINs reads PINs from key sources. Each is read once and kept: a pipe gives it only
// once, and nobody types one for every partition.
type PINs struct {
	mu   sync.Mutex
	kept map[pinFrom]*secret.Buffer
}

// pinFrom tells PINs apart: the old one and the new may both be asked for.
type pinFrom struct {
	source string
	fresh  bool
}

// Read returns the PIN of a key source, without a line's end, for the caller to wipe.
// One that is fresh, of a key in the making, is typed twice.
func (p *PINs) Read(ctx context.Context, source string, fresh bool) (*secret.Buffer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := pinFrom{source, fresh}
	if p.kept[from] == nil {
		pin, err := readPIN(ctx, from)
		if err != nil {
			return nil, err
		}
		if p.kept == nil {
			p.kept = map[pinFrom]*secret.Buffer{}
		}
		p.kept[from] = pin
	}
	return Part{}.Of(p.kept[from], source)
}

// Forget wipes what was kept. Who asks again is read to again.
func (p *PINs) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pin := range p.kept {
		pin.Wipe()
	}
	p.kept = nil
}

func readPIN(ctx context.Context, from pinFrom) (*secret.Buffer, error) {
	if from.source != definitions.SourceAsk || !from.fresh {
		return onePIN(ctx, from.source, "PIN: ")
	}
	pin, err := onePIN(ctx, from.source, "new PIN: ")
	if err != nil {
		return nil, err
	}
	again, err := onePIN(ctx, from.source, "the same PIN again: ")
	if err == nil && !bytes.Equal(pin.Bytes(), again.Bytes()) {
		err = errors.New("the two PINs that were typed differ")
	}
	again.Wipe()
	if err != nil {
		pin.Wipe()
		return nil, err
	}
	return pin, nil
}

// onePIN reads a PIN. The end of a line is none of it, as nobody can type it later.
func onePIN(ctx context.Context, source, prompt string) (*secret.Buffer, error) {
	pin, err := Prompted(ctx, source, prompt)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(pin.Bytes(), []byte("\n"))
	if len(text) == 0 || bytes.ContainsAny(text, "\x00\n") {
		pin.Wipe()
		return nil, fmt.Errorf("key source %s: a PIN is one line of text, and not an empty one", source)
	}
	return pin.Cut(len(text)), nil
}
