//go:build !purego && (amd64 || arm64)

package xts

import "encoding/binary"

// batchSectors is how many sectors one call into assembly takes. Their numbers
// are encrypted together: one at a time, the latency of the AES instructions
// would cost as much as the sector itself. The goroutine cannot be interrupted
// in a call, which at 256 KiB is a matter of microseconds.
const batchSectors = 64

// tweaks are the first tweaks of the sectors of a batch.
type tweaks [batchSectors][blockSize]byte

// assembled computes XTS with the instruction set isa, which each architecture
// defines together with its two methods:
//
//   - encryptBlocks encrypts n tweaks where they are, each by itself, and may
//     encrypt those after them too.
//   - crypt encrypts or decrypts successive sectors, whose first tweaks are given.
type assembled struct {
	isa isa
	// Schedules for encrypting and decrypting data, and for encrypting tweaks.
	encryption, decryption, tweak schedule
}

func assembledWith(i isa) func(dataKey, tweakKey []byte) (kernel, error) {
	return func(dataKey, tweakKey []byte) (kernel, error) {
		k := &assembled{isa: i}
		k.encryption.expand(dataKey)
		k.decryption.invert(&k.encryption)
		k.tweak.expand(tweakKey)
		return k, nil
	}
}

func (k *assembled) encrypt(dst, src []byte, sectorSize int, tweak uint64) {
	k.sectors(&k.encryption, true, dst, src, sectorSize, tweak)
}

func (k *assembled) decrypt(dst, src []byte, sectorSize int, tweak uint64) {
	k.sectors(&k.decryption, false, dst, src, sectorSize, tweak)
}

func (k *assembled) sectors(s *schedule, encrypt bool, dst, src []byte, sectorSize int, tweak uint64) {
	for len(src) > 0 {
		var first tweaks
		n := min(batchSectors, len(src)/sectorSize)
		for i := range n {
			binary.LittleEndian.PutUint64(first[i][:], tweak)
			tweak += uint64(sectorSize) / tweakUnit
		}
		k.isa.encryptBlocks(&k.tweak, &first, n)
		k.isa.crypt(s, encrypt, &dst[0], &src[0], &first, n, sectorSize)
		dst, src = dst[n*sectorSize:], src[n*sectorSize:]
	}
}

func (k *assembled) wipe() {
	clear(k.encryption.keys[:])
	clear(k.decryption.keys[:])
	clear(k.tweak.keys[:])
}
