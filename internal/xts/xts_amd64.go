//go:build !purego

package xts

import "golang.org/x/sys/cpu"

// isa is a set of instructions that XTS is written in.
type isa int

const (
	vaesAVX512 isa = iota // 32 blocks in flight, 4 a register
	vaesAVX2              // 16 blocks in flight, 2 a register
	aesni                 // 8 blocks in flight
)

// assembly lists the implementations in assembly, fastest first. That the
// operating system saves the wide registers is part of what package cpu
// answers for AVX2 and AVX-512; VAES without AVX-512 it does not know.
func assembly() []implementation {
	x := &cpu.X86
	avx512 := x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VAES && x.HasAVX512VPCLMULQDQ
	return []implementation{
		{"vaes-avx512", avx512, assembledWith(vaesAVX512)},
		{"vaes-avx2", x.HasAES && x.HasAVX2 && hasVAES(), assembledWith(vaesAVX2)},
		{"aesni", x.HasAES, assembledWith(aesni)},
	}
}

// hasVAES reports whether the CPU has VAES and VPCLMULQDQ, on registers of 256
// bits at least. Only a CPU with AVX2 may be asked.
func hasVAES() bool {
	const vaes, vpclmulqdq = 1 << 9, 1 << 10
	const both = vaes | vpclmulqdq
	return cpuid7ECX()&both == both
}

func (i isa) encryptBlocks(s *schedule, blocks *tweaks, n int) {
	switch i {
	case vaesAVX512:
		encryptBlocksAVX512(s, blocks, n)
	case vaesAVX2:
		encryptBlocksAVX2(s, blocks, n)
	default:
		encryptBlocksAESNI(s, blocks, n)
	}
}

func (i isa) encrypt(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	switch i {
	case vaesAVX512:
		encryptAVX512(s, dst, src, first, sectors, sectorSize)
	case vaesAVX2:
		encryptAVX2(s, dst, src, first, sectors, sectorSize)
	default:
		encryptAESNI(s, dst, src, first, sectors, sectorSize)
	}
}

func (i isa) stream(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	switch i {
	case vaesAVX512:
		streamAVX512(s, dst, src, first, sectors, sectorSize)
	case vaesAVX2:
		streamAVX2(s, dst, src, first, sectors, sectorSize)
	default:
		streamAESNI(s, dst, src, first, sectors, sectorSize)
	}
}

func (i isa) decrypt(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int) {
	switch i {
	case vaesAVX512:
		decryptAVX512(s, dst, src, first, sectors, sectorSize)
	case vaesAVX2:
		decryptAVX2(s, dst, src, first, sectors, sectorSize)
	default:
		decryptAESNI(s, dst, src, first, sectors, sectorSize)
	}
}

// cpuid7ECX returns ECX of CPUID leaf 7, subleaf 0.
func cpuid7ECX() uint32

//go:noescape
func encryptBlocksAVX512(s *schedule, blocks *tweaks, n int)

//go:noescape
func encryptAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func streamAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func decryptAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func encryptBlocksAVX2(s *schedule, blocks *tweaks, n int)

//go:noescape
func encryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func streamAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func decryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func encryptBlocksAESNI(s *schedule, blocks *tweaks, n int)

//go:noescape
func encryptAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func streamAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)

//go:noescape
func decryptAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
