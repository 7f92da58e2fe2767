package xts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"reflect"
)

// portable computes XTS block by block over crypto/aes.
type portable struct {
	data, tweak cipher.Block
}

func newPortable(dataKey, tweakKey []byte) (kernel, error) {
	data, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	tweak, err := aes.NewCipher(tweakKey)
	if err != nil {
		return nil, err
	}
	return &portable{data: data, tweak: tweak}, nil
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

// wipe overwrites the key schedules, which belong to crypto/aes and which it
// offers no way to clear.
func (p *portable) wipe() {
	for _, block := range []cipher.Block{p.data, p.tweak} {
		reflect.ValueOf(block).Elem().SetZero()
	}
}
