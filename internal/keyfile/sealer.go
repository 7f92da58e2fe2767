// Package keyfile is the kind of key that is a file: its content is the
// passphrase of a keyslot, as with cryptsetup's --key-file.
package keyfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
)

// maxSize is the longest key file, cryptsetup's limit.
const maxSize = 8 << 20

// Sealer is the executor.Sealer of key files.
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
func (s Sealer) Seal(ctx context.Context, key definitions.Key) (executor.Sealed, error) {
	passphrase, err := s.read(ctx, key)
	if err != nil && s.path(key) != "" && !s.There(ctx, key) {
		err = executor.Absent(err)
	}
	if err != nil {
		return executor.Sealed{}, err
	}
	return executor.Sealed{Passphrase: passphrase, KDF: keyslotKDF}, nil
}

// Unseal reads the file again.
func (s Sealer) Unseal(ctx context.Context, key definitions.Key, _ []byte) (*secret.Buffer, error) {
	return s.read(ctx, key)
}

// read returns the key's part of its file, or of the credential or socket that stands
// in the place of one.
func (s Sealer) read(ctx context.Context, key definitions.Key) (*secret.Buffer, error) {
	path := s.path(key)
	part := part{key.Offset, key.Size}
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
	return part.of(whole, path)
}

// path returns what a key is read from, "" where nothing says it.
func (s Sealer) path(key definitions.Key) string {
	if s.Default != "" {
		return s.Default
	}
	return key.Path
}

// There reports whether what a key is read from is there. What is in it, and whether it
// may be read, is not asked.
func (s Sealer) There(_ context.Context, key definitions.Key) bool {
	path := s.path(key)
	if s.Default == "" && definitions.IsKeySource(path) {
		path = place(path)
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
		return Source(ctx, path)
	}
	file, err := resolve.Trusted(path, forKey)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s.warn(file)
	return readAll(patiently(ctx, file), path)
}

// warn says that anybody on this machine can read a key file.
func (s Sealer) warn(file *os.File) {
	const others = 0o004
	info, err := file.Stat()
	if err == nil && s.Warn != nil && info.Mode().IsRegular() && info.Mode()&others != 0 {
		s.Warn(fmt.Sprintf("key file %s (%s) can be read by anybody on this machine", file.Name(), info.Mode()))
	}
}

// readAll reads a key straight into locked memory.
func readAll(r io.Reader, path string) (*secret.Buffer, error) {
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
			return trim(room, n, path)
		case err != nil:
			return nil, err
		case n > maxSize:
			return nil, fmt.Errorf("key file %s is larger than %d bytes", path, maxSize)
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
