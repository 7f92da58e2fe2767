//go:build !purego

#include "textflag.h"

// func subWord(w uint32) uint32
//
// With the word in all four columns ShiftRows changes nothing, and AESE with a
// key of zeros is SubBytes alone.
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVWU w+0(FP), R0
	VDUP  R0, V0.S4
	VEOR  V1.B16, V1.B16, V1.B16
	AESE  V1.B16, V0.B16
	VMOV  V0.S[0], R0
	MOVW  R0, ret+8(FP)
	VEOR  V0.B16, V0.B16, V0.B16
	RET

// func invMixColumns(block *[16]byte)
TEXT ·invMixColumns(SB), NOSPLIT, $0-8
	MOVD   block+0(FP), R0
	VLD1   (R0), [V0.B16]
	AESIMC V0.B16, V0.B16
	VST1   [V0.B16], (R0)
	VEOR   V0.B16, V0.B16, V0.B16
	RET
