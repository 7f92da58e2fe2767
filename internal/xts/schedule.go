//go:build !purego && (amd64 || arm64)

package xts

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// maxRounds is the number of rounds of AES-256; AES-128 has four less.
const maxRounds = 14

// schedule is the round keys of one AES key, in the order in which the rounds
// use them. AES-128 leaves places 1 to 4 empty, so that assembly has one
// sequence of rounds, which AES-128 enters after its first four.
//
// Assembly relies on the order and the sizes of the fields.
type schedule struct {
	keys   [maxRounds + 1][blockSize]byte
	rounds int // 10 or 14
}

// place returns where the round key of a round is kept.
func (s *schedule) place(round int) *[blockSize]byte {
	if round == 0 {
		return &s.keys[0]
	}
	return &s.keys[round+maxRounds-s.rounds]
}

// expand computes the schedule for encryption (FIPS 197, section 5.2) of a key of
// 16 or 32 bytes. It takes the S-box from the AES instructions, not from a table:
// which parts of a table are in the cache would tell of the key.
func (s *schedule) expand(key []byte) {
	words := len(key) / 4
	s.rounds = words + 6
	var w [4 * (maxRounds + 1)]uint32
	defer clear(w[:])
	for i := range words {
		w[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	constant := uint32(1)
	for i := words; i < 4*(s.rounds+1); i++ {
		t := w[i-1]
		if i%words == 0 {
			t = subWord(bits.RotateLeft32(t, -8)) ^ constant
			constant = constant<<1 ^ constant>>7*0x11b
		} else if i%words == 4 {
			t = subWord(t)
		}
		w[i] = w[i-words] ^ t
	}
	for round := range s.rounds + 1 {
		for i, word := range w[4*round : 4*round+4] {
			binary.LittleEndian.PutUint32(s.place(round)[4*i:], word)
		}
	}
}

// key returns the key that was expanded: encryption begins with it.
func (s *schedule) key() []byte { return unsafe.Slice(&s.keys[0][0], 4*(s.rounds-6)) }

// invert computes the schedule of the equivalent inverse cipher (FIPS 197,
// section 5.3.5) from that for encryption. It leaves the last round key away, which is the
// first of that for encryption and the key itself, or the half of it: see schedules.
func (s *schedule) invert(encryption *schedule) {
	s.rounds = encryption.rounds
	for round := range s.rounds {
		key := s.place(round)
		*key = *encryption.place(s.rounds - round)
		if round != 0 {
			invMixColumns(key)
		}
	}
}

// subWord applies the S-box of AES to each byte of a word.
func subWord(w uint32) uint32

// invMixColumns applies the InvMixColumns step of AES to a block.
//
//go:noescape
func invMixColumns(block *[blockSize]byte)
