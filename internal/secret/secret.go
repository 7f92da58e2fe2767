// Package secret keeps key material in memory that is locked (never swapped),
// left out of core dumps, and wiped when it is no longer needed.
package secret

import (
	"encoding/base64"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sys/unix"
)

// Buffer is a secret of fixed length. It is not safe for concurrent use with Wipe.
// Its String and Format never show the content.
type Buffer struct {
	mapping []byte // whole pages, so that locking and wiping concern nothing else
	length  int
}

// New returns a zeroed buffer of n bytes. It fails where memory cannot be locked,
// usually because RLIMIT_MEMLOCK is too low.
func New(n int) (*Buffer, error) {
	mapping, err := unix.Mmap(-1, 0, max(n, 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for a secret: %w", err)
	}
	b := &Buffer{mapping: mapping, length: n}
	if err := unix.Mlock(mapping); err != nil {
		b.Wipe()
		return nil, fmt.Errorf("lock memory for a secret (is RLIMIT_MEMLOCK, \"ulimit -l\", too low?): %w", err)
	}
	// Best effort: a kernel without it still keeps the pages locked.
	_ = unix.Madvise(mapping, unix.MADV_DONTDUMP)
	return b, nil
}

// Random returns n bytes read from source.
func Random(n int, source io.Reader) (*Buffer, error) {
	b, err := New(n)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(source, b.Bytes()); err != nil {
		b.Wipe()
		return nil, fmt.Errorf("random bytes for a key: %w", err)
	}
	return b, nil
}

// Take moves plain into a new buffer and wipes plain, also where it fails.
func Take(plain []byte) (*Buffer, error) {
	defer Wipe(plain)
	b, err := New(len(plain))
	if err != nil {
		return nil, err
	}
	copy(b.Bytes(), plain)
	return b, nil
}

// Clone returns a copy of b. Each is wiped by itself.
func (b *Buffer) Clone() (*Buffer, error) {
	other, err := New(b.length)
	if err == nil {
		copy(other.Bytes(), b.Bytes())
	}
	return other, err
}

// Base64 returns the standard base64 text of b, padded, as a new secret.
func (b *Buffer) Base64() (*Buffer, error) {
	text, err := New(base64.StdEncoding.EncodedLen(b.length))
	if err != nil {
		return nil, err
	}
	base64.StdEncoding.Encode(text.Bytes(), b.Bytes())
	return text, nil
}

// Cut makes b end after its first n bytes, and returns it. What was behind them is
// wiped with the rest.
func (b *Buffer) Cut(n int) *Buffer {
	b.length = n
	return b
}

// Bytes returns the secret itself; it is gone after Wipe.
func (b *Buffer) Bytes() []byte {
	if b == nil {
		return nil
	}
	return b.mapping[:b.length]
}

// Wipe overwrites the secret and releases its memory. Wiping twice, or wiping
// nil, does nothing.
func (b *Buffer) Wipe() {
	if b == nil || b.mapping == nil {
		return
	}
	Wipe(b.mapping)
	_ = unix.Munmap(b.mapping)
	b.mapping, b.length = nil, 0
}

// String hides the secret from %v and %s.
func (b *Buffer) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (b *Buffer) GoString() string { return "[secret]" }

// MarshalJSON hides the secret from JSON.
func (b *Buffer) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// Wipe overwrites p with zeroes.
func Wipe(p []byte) {
	clear(p)
	// The compiler may not drop the clearing as a dead store.
	runtime.KeepAlive(&p)
}
