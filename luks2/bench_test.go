package luks2

import (
	"bytes"
	"crypto/rand"
	"testing"
)

// BenchmarkZone is what a hot zone of a conversion costs in the header: that it is hot,
// and the one before done, on a device that costs nothing.
func BenchmarkZone(b *testing.B) {
	const shift, unit = 16 << 20, 4096
	d := make(memory, 2*shift)
	h, err := Format(options(shift, unit))
	check(b, err)
	key := bytes.Repeat([]byte{7}, 64)
	_, err = h.AddKeyslot(b.Context(), d, key, []byte("passphrase"), TokenKDF(), rand.Reader)
	check(b, err)
	const data = 1 << 50
	check(b, h.BeginEncrypt(EncryptOptions{Shift: shift, DeviceSize: data + 2*shift, DataSize: data, Rand: rand.Reader}, key))
	_, err = h.Reencryption(data + 2*shift)
	check(b, err)
	check(b, h.Commit(d))
	b.ReportAllocs()
	for end := int64(data); b.Loop(); end -= unit {
		if end < data {
			check(b, h.MarkDone())
		}
		check(b, h.MarkHot(end-unit, unit))
		check(b, h.Commit(d))
	}
}
