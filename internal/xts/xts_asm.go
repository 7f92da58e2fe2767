//go:build !purego && (amd64 || arm64)

package xts

import (
	"encoding/binary"
	"unsafe"

	"github.com/sealpart/sealpart/internal/secret"
)

// batchSectors is how many sectors one call into assembly takes. Their numbers
// are encrypted together: one at a time, the latency of the AES instructions
// would cost as much as the sector itself. The goroutine cannot be interrupted
// in a call, which at 256 KiB is a matter of microseconds.
const batchSectors = 64

// tweaks are the first tweaks of the sectors of a batch.
type tweaks [batchSectors][blockSize]byte

// streamAlignment is what a destination must be a multiple of to be streamed to.
const streamAlignment = 64

// assembled computes XTS with the instruction set isa, which each architecture
// defines together with its methods:
//
//   - encryptBlocks encrypts n tweaks where they are, each by itself, and may
//     encrypt those after them too.
//   - encrypt, stream and decrypt do successive sectors, whose first tweaks are given.
//     stream encrypts past the caches, to a multiple of streamAlignment.
type assembled struct {
	isa isa
	*schedules
	memory *secret.Buffer // of the schedules
}

// schedules are those for encrypting and decrypting data, and for encrypting tweaks. They
// hold no pointers: they are not in memory that the garbage collector knows.
//
// Assembly finds the last round key of decryption in encryption, right before it, so that
// the key is there once.
type schedules struct{ encryption, decryption, tweak schedule }

// operation is what is done to sectors.
type operation int

const (
	encrypting operation = iota
	streaming
	decrypting
)

func assembledWith(i isa) func(dataKey, tweakKey []byte) (kernel, error) {
	return func(dataKey, tweakKey []byte) (kernel, error) {
		memory, err := secret.New(int(unsafe.Sizeof(schedules{})))
		if err != nil {
			return nil, err
		}
		k := &assembled{isa: i, memory: memory, schedules: (*schedules)(unsafe.Pointer(unsafe.SliceData(memory.Bytes())))}
		k.encryption.expand(dataKey)
		k.decryption.invert(&k.encryption)
		k.tweak.expand(tweakKey)
		return k, nil
	}
}

func (k *assembled) encrypt(dst, src []byte, sectorSize int, tweak uint64) {
	k.sectors(encrypting, dst, src, sectorSize, tweak)
}

func (k *assembled) stream(dst, src []byte, sectorSize int, tweak uint64) {
	do := streaming
	if uintptr(unsafe.Pointer(unsafe.SliceData(dst)))%streamAlignment != 0 {
		do = encrypting
	}
	k.sectors(do, dst, src, sectorSize, tweak)
}

func (k *assembled) decrypt(dst, src []byte, sectorSize int, tweak uint64) {
	k.sectors(decrypting, dst, src, sectorSize, tweak)
}

func (k *assembled) sectors(do operation, dst, src []byte, sectorSize int, tweak uint64) {
	for len(src) > 0 {
		var first tweaks
		n := min(batchSectors, len(src)/sectorSize)
		for i := range n {
			binary.LittleEndian.PutUint64(first[i][:], tweak)
			tweak += uint64(sectorSize) / tweakUnit
		}
		k.isa.encryptBlocks(&k.tweak, &first, n)
		switch do {
		case encrypting:
			k.isa.encrypt(&k.encryption, &dst[0], &src[0], &first, n, sectorSize)
		case streaming:
			k.isa.stream(&k.encryption, &dst[0], &src[0], &first, n, sectorSize)
		case decrypting:
			k.isa.decrypt(&k.decryption, &dst[0], &src[0], &first, n, sectorSize)
		}
		dst, src = dst[n*sectorSize:], src[n*sectorSize:]
	}
}

func (k *assembled) keys() (dataKey, tweakKey []byte) { return k.encryption.key(), k.tweak.key() }

func (k *assembled) wipe() { k.memory.Wipe() }
