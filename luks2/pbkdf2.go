package luks2

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
)

// pbkdf2Breath is after how many iterations the context is looked at.
const pbkdf2Breath = 1024

// pbkdf2Key runs PBKDF2 (RFC 8018, section 5.2), and stops with the cause of ctx's end, to
// whose budget it is charged. The standard library's cannot be stopped, and copies the secret
// to where it cannot be erased.
func pbkdf2Key(ctx context.Context, name string, secret, salt []byte, iterations, size int) ([]byte, error) {
	newHash, err := newHash(name)
	if err != nil {
		return nil, err
	}
	if iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("pbkdf2 with %d iterations is out of range", iterations)
	}
	ctx, done := limited(ctx)
	defer done()
	m := newMAC(newHash, secret)
	defer m.wipe()
	var key []byte
	defer func() { clear(key[:cap(key)]) }()
	for block := uint32(1); len(key) < size; block++ {
		u := m.sum(nil, append(salt[:len(salt):len(salt)], binary.BigEndian.AppendUint32(nil, block)...))
		t := append(make([]byte, 0, len(u)), u...)
		for i := 1; i < iterations; i++ {
			if i%pbkdf2Breath == 0 && ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			u = m.sum(u[:0], u)
			subtle.XORBytes(t, t, u)
		}
		grown := append(make([]byte, 0, len(key)+len(t)), key...)
		clear(key)
		key = append(grown, t...)
		clear(t)
		clear(u)
	}
	return append(make([]byte, 0, size), key[:size]...), nil
}

// mac is HMAC (RFC 2104) under one key, for many short messages. It keeps nothing of the
// key but the states of the hash behind its two pads, or where a hash does not give its state
// the pads, and wipes those.
type mac struct {
	hash         hash.Hash
	inner, outer []byte
	whole        bool // they are pads
	digest       []byte
}

func newMAC(newHash func() hash.Hash, key []byte) *mac {
	m := &mac{hash: newHash()}
	_, gives := m.hash.(encoding.BinaryMarshaler)
	_, takes := m.hash.(encoding.BinaryUnmarshaler)
	m.whole = !gives || !takes
	pad := make([]byte, m.hash.BlockSize())
	defer clear(pad)
	if len(key) > len(pad) {
		m.hash.Write(key)
		m.hash.Sum(pad[:0])
		m.forget()
	} else {
		copy(pad, key)
	}
	m.inner = m.state(pad, 0x36)
	m.outer = m.state(pad, 0x36^0x5c)
	return m
}

// state returns the hash's state behind the pad, which it changes by XOR with flip, or a copy
// of the pad.
func (m *mac) state(pad []byte, flip byte) []byte {
	for i := range pad {
		pad[i] ^= flip
	}
	if m.whole {
		return bytes.Clone(pad)
	}
	m.hash.Reset()
	m.hash.Write(pad)
	state, err := m.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("luks2: a hash has no state: " + err.Error())
	}
	return state
}

// sum appends the code of a message to dst, which may be the message's memory.
func (m *mac) sum(dst, message []byte) []byte {
	m.digest = m.after(m.inner, m.digest[:0], message)
	return m.after(m.outer, dst, m.digest)
}

// after appends the hash of what a pad and a message are, one behind the other.
func (m *mac) after(state, dst, message []byte) []byte {
	if m.whole {
		m.hash.Reset()
		m.hash.Write(state)
	} else if err := m.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic("luks2: a hash refuses its own state: " + err.Error())
	}
	m.hash.Write(message)
	return m.hash.Sum(dst)
}

// forget overwrites what the hash has kept of its input.
func (m *mac) forget() {
	m.hash.Reset()
	m.hash.Write(make([]byte, m.hash.BlockSize()-1))
	m.hash.Reset()
}

func (m *mac) wipe() {
	m.forget()
	clear(m.inner)
	clear(m.outer)
	clear(m.digest[:cap(m.digest)])
}
