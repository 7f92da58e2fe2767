package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// encrypter encrypts and decrypts the bytes of one segment.
type encrypter struct {
	cipher     *xts.Cipher
	sectorSize int
	tweak      uint64 // of the segment's first byte
}

// checkCiphers refuses data that could not be read or written.
func checkCiphers(names ...string) error {
	for _, name := range names {
		switch {
		case plan.UnderSecureKey(name):
			return &headerError{fmt.Sprintf("data under a secure key (%.40s) is read and written by the kernel alone", name),
				"\"sealpart open\" makes a device of the volume, on the machine whose adapter has the key"}
		case name != definitions.CipherClear:
			return fmt.Errorf("data under the cipher %.40q is not supported, only %s", name, definitions.CipherClear)
		}
	}
	return nil
}

// newEncrypter returns the encrypter of a segment under key, which it takes: while it works,
// the key is in memory once.
func newEncrypter(s luks2.Segment, key *secret.Buffer) (*encrypter, error) {
	if err := checkCiphers(s.Encryption); err != nil {
		return nil, err
	}
	cipher, err := xts.Take(key)
	if err != nil {
		return nil, err
	}
	return &encrypter{cipher: cipher, sectorSize: s.SectorSize, tweak: s.IVTweak}, nil
}

// encrypt encrypts src into dst; off is its place in the volume, counted from the
// start of the encrypted segment, whose tweaks count 512-byte units whatever the
// sector size (LUKS2 specification, section 3.3).
func (e encrypter) encrypt(dst, src []byte, off disk.Bytes) {
	e.cipher.Encrypt(dst, src, e.sectorSize, e.tweak+uint64(off)/512)
}

// stream is encrypt, past the CPU's caches.
func (e encrypter) stream(dst, src []byte, off disk.Bytes) {
	e.cipher.Stream(dst, src, e.sectorSize, e.tweak+uint64(off)/512)
}

// decrypt is the inverse of encrypt.
func (e encrypter) decrypt(dst, src []byte, off disk.Bytes) {
	e.cipher.Decrypt(dst, src, e.sectorSize, e.tweak+uint64(off)/512)
}

// recoder turns old bytes of a volume into new ones.
type recoder struct {
	from *encrypter // nil: the old bytes are plain
	to   *encrypter
}

// newRecoder returns the recoder of a conversion, which takes the keys.
func newRecoder(state *luks2.Reencryption, keys dataKeys) (r recoder, err error) {
	if r.to, err = newEncrypter(state.Final, keys.new); err != nil {
		return r, err
	}
	if keys.old != nil {
		if r.from, err = newEncrypter(state.Previous, keys.old); err != nil {
			r.to.cipher.Wipe()
		}
	}
	return r, err
}

// recode makes new bytes in dst of the old ones in src; off is their place in the
// volume. In between dst may hold them in clear.
func (r recoder) recode(dst, src []byte, off disk.Bytes) {
	if r.from != nil {
		r.from.decrypt(dst, src, off)
		src = dst
	}
	r.to.encrypt(dst, src, off)
}

// recodeOnDisk is like recode, of at most a piece, for a dst that is on the disk:
// nothing is in clear there, and nobody reads it soon.
func (r recoder) recodeOnDisk(dst, src []byte, off disk.Bytes) {
	if r.from != nil {
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		plain := buf[:len(src)]
		r.from.decrypt(plain, src, off)
		src = plain
	}
	r.to.stream(dst, src, off)
}

// release gives the key of the new bytes back, and forgets all others.
func (r recoder) release() (*secret.Buffer, error) {
	defer r.wipe()
	return r.to.cipher.Release()
}

// wipe forgets the keys.
func (r recoder) wipe() {
	r.to.cipher.Wipe()
	if r.from != nil {
		r.from.cipher.Wipe()
	}
}
