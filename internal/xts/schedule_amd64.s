//go:build !purego

#include "textflag.h"

// func cpuid7ECX() uint32
TEXT ·cpuid7ECX(SB), NOSPLIT, $0-4
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL CX, ret+0(FP)
	RET

// func subWord(w uint32) uint32
//
// With the word in all four columns ShiftRows changes nothing, and the last round
// with a key of zeros is SubBytes alone.
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL       w+0(FP), X0
	PSHUFD     $0, X0, X0
	PXOR       X1, X1
	AESENCLAST X1, X0
	MOVL       X0, ret+8(FP)
	PXOR       X0, X0
	RET

// func invMixColumns(block *[16]byte)
TEXT ·invMixColumns(SB), NOSPLIT, $0-8
	MOVQ   block+0(FP), AX
	MOVOU  (AX), X0
	AESIMC X0, X0
	MOVOU  X0, (AX)
	PXOR   X0, X0
	RET
