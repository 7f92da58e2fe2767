//go:build !purego

package xts

import "golang.org/x/sys/cpu"

// isa is a set of instructions that XTS is written in: here there is but one.
type isa int

const arm64AES isa = 0 // 8 blocks in flight

// assembly lists the implementations in assembly.
func assembly() []implementation {
	return []implementation{
		{"arm64-aes", cpu.ARM64.HasAES, assembledWith(arm64AES)},
	}
}

func (isa) encryptBlocks(s *schedule, blocks *tweaks, n int) {
	encryptBlocksAES(s, blocks, n)
}

func (isa) encrypt(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	encryptAES(s, dst, src, first, sectors, sectorSize)
}

// stream writes through the caches like encrypt: what passes them by here (STNP) is but
// a hint.
func (i isa) stream(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	i.encrypt(s, dst, src, first, sectors, sectorSize)
}

func (isa) decrypt(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	decryptAES(s, dst, src, first, sectors, sectorSize)
}

//go:noescape
func encryptBlocksAES(s *schedule, blocks *tweaks, n int)

//go:noescape
func encryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func decryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
