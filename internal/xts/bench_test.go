package xts

import (
	"fmt"
	"testing"
)

func BenchmarkEncrypt(b *testing.B) {
	benchmark(b, (*Cipher).Encrypt)
}

func BenchmarkDecrypt(b *testing.B) {
	benchmark(b, (*Cipher).Decrypt)
}

// benchmark runs AES-256 over 16 KiB, as `openssl speed -evp aes-256-xts -bytes
// 16384` does, which is what to compare it with.
func benchmark(b *testing.B, crypt func(c *Cipher, dst, src []byte, sectorSize int, tweak uint64)) {
	buf := make([]byte, 16<<10)
	for _, impl := range implementations() {
		for _, sectorSize := range []int{512, 4096} {
			b.Run(fmt.Sprintf("%s/%d", impl.name, sectorSize), func(b *testing.B) {
				if !impl.supported {
					b.Skipf("this CPU cannot run %s", impl.name)
				}
				c := newCipher(b, impl, repeated(64))
				b.SetBytes(int64(len(buf)))
				b.ReportAllocs()
				for b.Loop() {
					crypt(c, buf, buf, sectorSize, 1<<20)
				}
			})
		}
	}
}
