package xts

import (
	"fmt"
	"unsafe"

	"github.com/sealpart/sealpart/internal/secret"
)

// blockSize is the size of an AES block in bytes.
const blockSize = 16

// tweakUnit is the number of bytes that one step of the sector number covers.
const tweakUnit = 512

// Cipher encrypts and decrypts sectors under one key. Several goroutines may
// use it at once, but none may while or after Wipe runs.
type Cipher struct {
	kernel kernel
}

// kernel is one implementation, holding one key. Its callers have checked the
// arguments: len(src) is a multiple of sectorSize and len(dst) equals it.
type kernel interface {
	encrypt(dst, src []byte, sectorSize int, tweak uint64)
	stream(dst, src []byte, sectorSize int, tweak uint64)
	decrypt(dst, src []byte, sectorSize int, tweak uint64)
	// keys returns the two keys, where they lie in the kernel's own memory.
	keys() (dataKey, tweakKey []byte)
	wipe()
}

// New returns the cipher of a key of 32 bytes (AES-128) or 64 bytes (AES-256):
// the data key followed by the tweak key. The caller keeps the key and may wipe
// it at once: where it must be in memory only once, see Take. Equal halves are accepted,
// as cryptsetup and the kernel outside FIPS mode accept them: whoever generates keys must
// refuse them.
//
// The expanded keys lie in one run of locked memory, and begin with the keys themselves.
// New fails where no memory can be locked.
func New(key []byte) (*Cipher, error) {
	return newWith(fastest(), key)
}

// Take is New, and wipes the key, also where it fails: from then on it is in the Cipher
// alone. Release gives it back.
func Take(key *secret.Buffer) (*Cipher, error) {
	defer key.Wipe()
	return New(key.Bytes())
}

// Release returns the key, and wipes the Cipher, also where it fails.
func (c *Cipher) Release() (*secret.Buffer, error) {
	defer c.Wipe()
	data, tweak := c.kernel.keys()
	key, err := secret.New(len(data) + len(tweak))
	if err != nil {
		return nil, err
	}
	copy(key.Bytes(), data)
	copy(key.Bytes()[len(data):], tweak)
	return key, nil
}

// Implementation names the implementation that New takes on this CPU:
// "vaes-avx512", "vaes-avx2", "aesni", "arm64-aes" or "portable".
func Implementation() string {
	return fastest().name
}

func newWith(impl implementation, key []byte) (*Cipher, error) {
	if len(key) != 32 && len(key) != 64 {
		return nil, fmt.Errorf("aes-xts key of %d bytes: must be 32 or 64", len(key))
	}
	half := len(key) / 2
	k, err := impl.newKernel(key[:half], key[half:])
	if err != nil {
		return nil, fmt.Errorf("aes-xts with %s: %w", impl.name, err)
	}
	return &Cipher{kernel: k}, nil
}

// Encrypt encrypts the sectors of src into dst. The first sector's number is
// tweak, in units of 512 bytes, and each following sector's is sectorSize/512
// greater, modulo 2^64.
//
// sectorSize is 512, 1024, 2048 or 4096; len(src) is a multiple of it; dst is
// at least as long as src and either does not overlap it or starts where it
// starts. Anything else is a mistake in the calling program, as is a wiped
// Cipher, and panics before a byte is written.
func (c *Cipher) Encrypt(dst, src []byte, sectorSize int, tweak uint64) {
	check(dst, src, sectorSize)
	c.kernel.encrypt(dst[:len(src)], src, sectorSize, tweak)
}

// Stream is Encrypt to a place that nobody reads soon: where the CPU can, dst is written
// past its caches. That spares reading what is overwritten, and keeps in them what is
// needed. It pays where dst is memory of its own, much larger than they are.
func (c *Cipher) Stream(dst, src []byte, sectorSize int, tweak uint64) {
	check(dst, src, sectorSize)
	c.kernel.stream(dst[:len(src)], src, sectorSize, tweak)
}

// Decrypt is the inverse of Encrypt, with the same rules.
func (c *Cipher) Decrypt(dst, src []byte, sectorSize int, tweak uint64) {
	check(dst, src, sectorSize)
	c.kernel.decrypt(dst[:len(src)], src, sectorSize, tweak)
}

// Wipe overwrites the expanded keys. The Cipher cannot be used any more; to
// wipe it again does nothing.
func (c *Cipher) Wipe() {
	c.kernel.wipe()
	c.kernel = wiped{}
}

func check(dst, src []byte, sectorSize int) {
	switch sectorSize {
	case 512, 1024, 2048, 4096:
	default:
		panic(fmt.Sprintf("xts: sector size %d: must be 512, 1024, 2048 or 4096", sectorSize))
	}
	if len(src)%sectorSize != 0 {
		panic(fmt.Sprintf("xts: %d bytes are no whole number of %d-byte sectors", len(src), sectorSize))
	}
	if len(dst) < len(src) {
		panic(fmt.Sprintf("xts: destination of %d bytes for %d bytes of source", len(dst), len(src)))
	}
	if overlapsAskew(dst[:len(src)], src) {
		panic("xts: destination overlaps the source without starting where it starts")
	}
}

// overlapsAskew reports whether two slices of equal length share memory but do
// not start at the same byte: blocks would then be read after they were
// overwritten.
func overlapsAskew(a, b []byte) bool {
	if len(a) == 0 || &a[0] == &b[0] {
		return false
	}
	firstA, firstB := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return firstA < firstB+uintptr(len(b)) && firstB < firstA+uintptr(len(a))
}

// wiped is the kernel of a Cipher whose keys are gone. To go on with zeroed
// keys would write data to disk under a key that everybody knows.
type wiped struct{}

func (wiped) encrypt(_, _ []byte, _ int, _ uint64) { panic("xts: cipher used after it was wiped") }
func (wiped) stream(_, _ []byte, _ int, _ uint64)  { panic("xts: cipher used after it was wiped") }
func (wiped) decrypt(_, _ []byte, _ int, _ uint64) { panic("xts: cipher used after it was wiped") }
func (wiped) keys() (_, _ []byte)                  { panic("xts: cipher used after it was wiped") }
func (wiped) wipe()                                {}
