package benchmark

import (
	"crypto/rand"
	"time"

	"github.com/sealpart/sealpart/internal/xts"
)

// bufferSize is how much a cipher is given at once, in bytes: what `openssl speed`
// takes at the most, and a size that stays in a core's cache.
const bufferSize = 16 << 10

// Cipher is how fast one implementation of AES-XTS is on one core.
type Cipher struct {
	Name           string  `json:"name"`           // as OpenSSL names it: "aes-256-xts"
	Implementation string  `json:"implementation"` // one of xts.Implementations
	SectorSize     int     `json:"sector_size"`    // bytes
	Encrypt        float64 `json:"encrypt"`        // bytes a second
	Decrypt        float64 `json:"decrypt"`        // bytes a second
}

// Ciphers measures every implementation that this CPU can run, fastest first, with
// both sizes of key and the two sector sizes in use. Each measurement takes about d.
func Ciphers(d time.Duration) ([]Cipher, error) {
	var all []Cipher
	for _, implementation := range xts.Implementations() {
		for _, bits := range []int{128, 256} {
			for _, sectorSize := range []int{512, 4096} {
				c, err := MeasureCipher(implementation, bits, sectorSize, d)
				if err != nil {
					return nil, err
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// MeasureCipher measures one implementation, both ways, with an AES key of 128 or
// 256 bits. It fails for an implementation that this CPU does not have.
func MeasureCipher(implementation string, bits, sectorSize int, d time.Duration) (Cipher, error) {
	result := Cipher{Name: map[int]string{128: "aes-128-xts", 256: "aes-256-xts"}[bits], Implementation: implementation, SectorSize: sectorSize}
	key := make([]byte, 2*bits/8)
	_, _ = rand.Read(key) // never fails
	c, err := xts.NewWith(implementation, key)
	if err != nil {
		return Cipher{}, err
	}
	defer c.Wipe()
	buf := make([]byte, bufferSize)
	if result.Encrypt, err = bytesPerSecond(d, func() { c.Encrypt(buf, buf, sectorSize, 1<<20) }); err != nil {
		return Cipher{}, err
	}
	result.Decrypt, err = bytesPerSecond(d, func() { c.Decrypt(buf, buf, sectorSize, 1<<20) })
	return result, err
}

func bytesPerSecond(d time.Duration, work func()) (float64, error) {
	rate, err := measure(d, func() error { work(); return nil })
	return rate * bufferSize, err
}
