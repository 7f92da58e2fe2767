//go:build !purego

package sha256x

import "golang.org/x/sys/cpu"

// assembly lists the implementations in assembly, fastest first.
func assembly() []implementation {
	x := &cpu.X86
	return []implementation{
		{
			name: "avx512-x16", supported: x.HasAVX512F && x.HasAVX512BW, lanes: 16,
			// A register is a word of all messages.
			words: [8]int{0, 16, 32, 48, 64, 80, 96, 112}, lane: 1,
			compress: compressAVX512,
		},
		{
			name: "sha-ni-x2", supported: x.HasSSE41 && x.HasSSSE3 && hasSHA(), lanes: 2,
			// The instructions want f e b a and h g d c.
			words: [8]int{3, 2, 7, 6, 1, 0, 5, 4}, lane: 8,
			compress: compressSHANI,
		},
	}
}

// hasSHA reports whether the CPU has the SHA instructions.
func hasSHA() bool {
	const sha = 1 << 29
	return cpuid7EBX()&sha != 0
}

// cpuid7EBX returns EBX of CPUID leaf 7, subleaf 0, or 0 where there is no such leaf.
func cpuid7EBX() uint32

//go:noescape
func compressAVX512(s *states, data *byte, stride, chunks int)

//go:noescape
func compressSHANI(s *states, data *byte, stride, chunks int)

// constants are K of FIPS 180-4, 4.2.2.
var constants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
