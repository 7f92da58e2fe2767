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
