// Package file is the kind of key that is a file: its content is the
// passphrase of a keyslot, as with cryptsetup's --key-file.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/sealpart/sealpart/internal/secret"
)

// Sealer is the key.Sealer of key files.
type Sealer struct {
	// Default is the file of keys that name none, from --key-file; it also
	// overrules the files that definitions name. Empty means there is none.
	Default string
	// Input is read where the file is Stdin.
	Input *Input
	// Warn is told of files that do not keep their key; nil where nobody listens.
	Warn func(string)
}

// Kind returns "file".
func (Sealer) Kind() string { return definitions.KeyFile }

// TokenType returns "": key files need no token.
func (Sealer) TokenType() string { return "" }

// Seal returns the file's content as the passphrase.
func (s Sealer) Seal(ctx context.Context, k definitions.Key) (key.Sealed, error) {
	passphrase, err := s.read(ctx, k)
	if err != nil && s.path(k) != "" && !s.There(ctx, k) {
		err = key.Absent(err)
	}
	if err != nil {
		return key.Sealed{}, err
	}
	return key.Sealed{Passphrase: passphrase, KDF: keyslotKDF}, nil
}

// Unseal reads the file again.
func (s Sealer) Unseal(ctx context.Context, k definitions.Key, _ []byte) (*secret.Buffer, error) {
	return s.read(ctx, k)
}

// read returns the key's part of its file, or of the credential or socket that stands
// in the place of one.
func (s Sealer) read(ctx context.Context, k definitions.Key) (*secret.Buffer, error) {
	path := s.path(k)
	part := source.Part{Offset: k.Offset, Size: k.Size}
	switch {
	case path == "":
		return nil, errors.New("no key file is given; name one with path = \"…\" or --key-file")
	case path == Stdin && s.Input != nil:
		return s.Input.read(ctx, part)
	}
	whole, err := s.whole(ctx, path)
	if err != nil {
		return nil, err
	}
	defer whole.Wipe()
	return part.Of(whole, path)
}

// path returns what a key is read from, "" where nothing says it.
func (s Sealer) path(k definitions.Key) string {
	if s.Default != "" {
		return s.Default
	}
	return k.Path
}

// There reports whether what a key is read from is there. What is in it, and whether it
// may be read, is not asked.
func (s Sealer) There(_ context.Context, k definitions.Key) bool {
	path := s.path(k)
	if s.Default == "" && definitions.IsKeySource(path) {
		path = source.Place(path)
	}
	if path == Stdin && s.Input != nil {
		return true
	}
	_, err := os.Stat(path)
	return path != "" && !errors.Is(err, fs.ErrNotExist)
}

// whole returns all that a file, credential or socket holds.
func (s Sealer) whole(ctx context.Context, path string) (*secret.Buffer, error) {
	if definitions.IsKeySource(path) && s.Default == "" {
		return source.Read(ctx, path)
	}
	file, err := source.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s.warn(file)
	return source.ReadAll(ctx, file, path)
}

// warn says that anybody on this machine can read a key file.
func (s Sealer) warn(file *os.File) {
	const others = 0o004
	info, err := file.Stat()
	if err == nil && s.Warn != nil && info.Mode().IsRegular() && info.Mode()&others != 0 {
		s.Warn(fmt.Sprintf("key file %s (%s) can be read by anybody on this machine", file.Name(), info.Mode()))
	}
}
