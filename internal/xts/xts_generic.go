package xts

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"reflect"
	"unsafe"

	"github.com/sealpart/sealpart/internal/secret"
)

// portable computes XTS block by block over crypto/aes.
type portable struct {
	data, tweak       cipher.Block
	dataKey, tweakKey []byte
	memory            *secret.Buffer // of all that
}

// newPortable keeps the keys where their schedules have them, or else beside them: those are
// in a form of crypto/aes's own.
func newPortable(dataKey, tweakKey []byte) (kernel, error) {
	memory, err := secret.New(2 * portableRoom)
	if err != nil {
		return nil, err
	}
	p := &portable{memory: memory}
	room := memory.Bytes()
	p.data, p.dataKey, err = expandInto(room[:portableRoom], dataKey)
	if err == nil {
		p.tweak, p.tweakKey, err = expandInto(room[portableRoom:], tweakKey)
	}
	if err != nil {
		memory.Wipe()
		return nil, err
	}
	return p, nil
}

// portableRoom is what a key and its schedules have room in, in bytes.
const portableRoom = 1024

// expandInto makes the cipher of a key in room, which is not the garbage collector's, and
// returns it with the place of the key. crypto/aes has its schedules in the heap, and offers no way to clear them
// there.
func expandInto(room, key []byte) (cipher.Block, []byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	made := reflect.ValueOf(block)
	kind := made.Type().Elem()
	size := int(kind.Size())
	if holdsPointers(kind) || size+len(key) > len(room) {
		return nil, nil, errors.New("crypto/aes has changed: its schedules cannot be moved to locked memory")
	}
	heap := unsafe.Slice((*byte)(made.UnsafePointer()), size)
	copy(room, heap)
	secret.Wipe(heap)
	kept := room[size : size+len(key)]
	if at := bytes.Index(room[:size], key); at >= 0 {
		kept = room[at : at+len(key)]
	} else {
		copy(kept, key)
	}
	return reflect.NewAt(kind, unsafe.Pointer(unsafe.SliceData(room))).Interface().(cipher.Block), kept, nil
}

// holdsPointers reports whether values of a type must be where the garbage collector sees
// them.
func holdsPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return holdsPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	}
	return t.Kind() > reflect.Complex128
}

func (p *portable) encrypt(dst, src []byte, sectorSize int, tweak uint64) {
	p.sectors(p.data.Encrypt, dst, src, sectorSize, tweak)
}

func (p *portable) stream(dst, src []byte, sectorSize int, tweak uint64) {
	p.encrypt(dst, src, sectorSize, tweak)
}

func (p *portable) decrypt(dst, src []byte, sectorSize int, tweak uint64) {
	p.sectors(p.data.Decrypt, dst, src, sectorSize, tweak)
}

func (p *portable) sectors(crypt func(dst, src []byte), dst, src []byte, sectorSize int, tweak uint64) {
	var t [blockSize]byte
	for len(src) > 0 {
		binary.LittleEndian.PutUint64(t[:8], tweak)
		clear(t[8:])
		p.tweak.Encrypt(t[:], t[:])
		cryptSector(crypt, dst[:sectorSize], src[:sectorSize], &t)
		dst, src = dst[sectorSize:], src[sectorSize:]
		tweak += uint64(sectorSize) / tweakUnit
	}
}

func cryptSector(crypt func(dst, src []byte), dst, src []byte, t *[blockSize]byte) {
	for i := 0; i < len(src); i += blockSize {
		block := dst[i : i+blockSize]
		subtle.XORBytes(block, src[i:i+blockSize], t[:])
		crypt(block, block)
		subtle.XORBytes(block, block, t[:])
		double(t)
	}
}

// double multiplies a tweak by x, modulo x^128 + x^7 + x^2 + x + 1 (IEEE 1619,
// section 5.2). It takes the same time for every tweak.
func double(t *[blockSize]byte) {
	low, high := binary.LittleEndian.Uint64(t[:8]), binary.LittleEndian.Uint64(t[8:])
	carry := -(high >> 63) & 0x87
	binary.LittleEndian.PutUint64(t[8:], high<<1|low>>63)
	binary.LittleEndian.PutUint64(t[:8], low<<1^carry)
}

func (p *portable) keys() (dataKey, tweakKey []byte) { return p.dataKey, p.tweakKey }

func (p *portable) wipe() { p.memory.Wipe() }
