// Package xts is AES-XTS (IEEE 1619, NIST SP 800-38E) over many disk sectors
// in one call, as dm-crypt's aes-xts-plain64 uses it.
//
// A key is two AES keys of equal length: the first encrypts the data, the
// second the sector's number, which gives the sector's first tweak. Each
// following 16-byte block's tweak is the one before it times x in GF(2^128).
// Disk sectors are whole blocks, so ciphertext stealing never occurs and is not
// here.
//
// The sector number is counted in units of 512 bytes whatever the sector size,
// as dm-crypt counts it unless told iv_large_sectors: sectors of 4096 bytes are
// numbered 0, 8, 16 and so on.
//
// XTS hides data and nothing more: it does not notice that somebody changed it.
//
// There is one portable implementation, over crypto/aes, and several in
// assembly; New takes the fastest that the CPU can run. Build with the tag
// purego for the portable one alone. Every test runs for every implementation
// that the CPU has; those of another architecture run under emulation:
//
//	GOARCH=arm64 go test -exec qemu-aarch64-static ./internal/xts
package xts
