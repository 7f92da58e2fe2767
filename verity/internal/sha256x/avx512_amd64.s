//go:build !purego

#include "textflag.h"

// SHA-256 of 16 messages at a time with AVX-512: each lane of a register belongs
// to one message.
//
//	Z0-Z7    a to h
//	Z8-Z15   scratch
//	Z16-Z31  the last 16 words of the message schedule
//
// Nothing waits for anything: two of the CPU's ports are busy all the time, one of
// them with the rotations, which the other cannot do.
//
//	DI states  R8 bytes from one message to the next, R9 three times that
//	SI, R10, R11, R12 messages 0, 4, 8 and 12  CX chunks left
//	BX constants of the round  AX sixteens of rounds left

DATA swap16<>+0(SB)/8, $0x0405060700010203
DATA swap16<>+8(SB)/8, $0x0c0d0e0f08090a0b
DATA swap16<>+16(SB)/8, $0x0405060700010203
DATA swap16<>+24(SB)/8, $0x0c0d0e0f08090a0b
DATA swap16<>+32(SB)/8, $0x0405060700010203
DATA swap16<>+40(SB)/8, $0x0c0d0e0f08090a0b
DATA swap16<>+48(SB)/8, $0x0405060700010203
DATA swap16<>+56(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap16<>(SB), NOPTR|RODATA, $64

// A chunk of four messages, transposed within groups of four words: the result j
// has the words j, 4+j, 8+j and 12+j of the four messages.
#define LOAD4(P, T0, T1, T2, T3, R0, R1, R2, R3) \
	VMOVDQU64   (P), R0;        \
	VMOVDQU64   (P)(R8*1), R1;  \
	VMOVDQU64   (P)(R8*2), R2;  \
	VMOVDQU64   (P)(R9*1), R3;  \
	VPUNPCKLDQ  R1, R0, T0;     \
	VPUNPCKHDQ  R1, R0, T1;     \
	VPUNPCKLDQ  R3, R2, T2;     \
	VPUNPCKHDQ  R3, R2, T3;     \
	VPUNPCKLQDQ T2, T0, R0;     \
	VPUNPCKHQDQ T2, T0, R1;     \
	VPUNPCKLQDQ T3, T1, R2;     \
	VPUNPCKHQDQ T3, T1, R3

// The groups of four words transposed: R0-R3 become one word each of all sixteen
// messages, T0-T3 are lost.
#define GATHER(T0, T1, T2, T3, R0, R1, R2, R3) \
	VSHUFI32X4 $0x44, R1, R0, T0; \
	VSHUFI32X4 $0xee, R1, R0, T1; \
	VSHUFI32X4 $0x44, R3, R2, T2; \
	VSHUFI32X4 $0xee, R3, R2, T3; \
	VSHUFI32X4 $0x88, T2, T0, R0; \
	VSHUFI32X4 $0xdd, T2, T0, R1; \
	VSHUFI32X4 $0x88, T3, T1, R2; \
	VSHUFI32X4 $0xdd, T3, T1, R3

// One round. What was d is now e, and what was h is now a.
#define ROUND(I, A, B, C, D, E, F, G, H, W) \
	VPADDD.BCST (4*I)(BX), W, Z8;    \
	VPRORD      $6, E, Z9;           \
	VPRORD      $11, E, Z10;         \
	VPRORD      $25, E, Z11;         \
	VMOVDQA64   E, Z12;              \
	VPTERNLOGD  $0xca, G, F, Z12;    \
	VPADDD      Z8, H, H;            \
	VPTERNLOGD  $0x96, Z11, Z10, Z9; \
	VPADDD      Z12, H, H;           \
	VPADDD      Z9, H, H;            \
	VPRORD      $2, A, Z13;          \
	VPRORD      $13, A, Z14;         \
	VPRORD      $22, A, Z15;         \
	VPADDD      H, D, D;             \
	VMOVDQA64   A, Z8;               \
	VPTERNLOGD  $0xe8, C, B, Z8;     \
	VPTERNLOGD  $0x96, Z15, Z14, Z13; \
	VPADDD      Z8, H, H;            \
	VPADDD      Z13, H, H

// The word of the message schedule 16 after W0: W0 + s0(W1) + W9 + s1(W14).
#define SCHEDULE(W0, W1, W9, W14) \
	VPRORD     $7, W1, Z8;          \
	VPRORD     $18, W1, Z9;         \
	VPSRLD     $3, W1, Z10;         \
	VPRORD     $17, W14, Z11;       \
	VPRORD     $19, W14, Z12;       \
	VPSRLD     $10, W14, Z13;       \
	VPADDD     W9, W0, W0;          \
	VPTERNLOGD $0x96, Z10, Z9, Z8;  \
	VPTERNLOGD $0x96, Z13, Z12, Z11; \
	VPADDD     Z8, W0, W0;          \
	VPADDD     Z11, W0, W0

#define ADD(I, WORD) \
	VPADDD    (64*I)(DI), WORD, WORD; \
	VMOVDQU64 WORD, (64*I)(DI)

// func compressAVX512(s *states, data *byte, stride, chunks int)
TEXT ·compressAVX512(SB), NOSPLIT, $0-32
	MOVQ s+0(FP), DI
	MOVQ data+8(FP), SI
	MOVQ stride+16(FP), R8
	MOVQ chunks+24(FP), CX
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R8*4), R10
	LEAQ (SI)(R8*8), R11
	LEAQ (R10)(R8*8), R12

chunk:
	LOAD4(SI, Z16, Z17, Z18, Z19, Z0, Z1, Z2, Z3)
	LOAD4(R10, Z20, Z21, Z22, Z23, Z4, Z5, Z6, Z7)
	LOAD4(R11, Z24, Z25, Z26, Z27, Z8, Z9, Z10, Z11)
	LOAD4(R12, Z28, Z29, Z30, Z31, Z12, Z13, Z14, Z15)
	GATHER(Z16, Z17, Z18, Z19, Z0, Z4, Z8, Z12)
	GATHER(Z20, Z21, Z22, Z23, Z1, Z5, Z9, Z13)
	GATHER(Z24, Z25, Z26, Z27, Z2, Z6, Z10, Z14)
	GATHER(Z28, Z29, Z30, Z31, Z3, Z7, Z11, Z15)
	VPSHUFB swap16<>(SB), Z0, Z16
	VPSHUFB swap16<>(SB), Z1, Z17
	VPSHUFB swap16<>(SB), Z2, Z18
	VPSHUFB swap16<>(SB), Z3, Z19
	VPSHUFB swap16<>(SB), Z4, Z20
	VPSHUFB swap16<>(SB), Z5, Z21
	VPSHUFB swap16<>(SB), Z6, Z22
	VPSHUFB swap16<>(SB), Z7, Z23
	VPSHUFB swap16<>(SB), Z8, Z24
	VPSHUFB swap16<>(SB), Z9, Z25
	VPSHUFB swap16<>(SB), Z10, Z26
	VPSHUFB swap16<>(SB), Z11, Z27
	VPSHUFB swap16<>(SB), Z12, Z28
	VPSHUFB swap16<>(SB), Z13, Z29
	VPSHUFB swap16<>(SB), Z14, Z30
	VPSHUFB swap16<>(SB), Z15, Z31

	VMOVDQU64 0(DI), Z0
	VMOVDQU64 64(DI), Z1
	VMOVDQU64 128(DI), Z2
	VMOVDQU64 192(DI), Z3
	VMOVDQU64 256(DI), Z4
	VMOVDQU64 320(DI), Z5
	VMOVDQU64 384(DI), Z6
	VMOVDQU64 448(DI), Z7
	LEAQ      ·constants(SB), BX
	MOVL      $3, AX

sixteen:
	ROUND(0, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z16)
	SCHEDULE(Z16, Z17, Z25, Z30)
	ROUND(1, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z17)
	SCHEDULE(Z17, Z18, Z26, Z31)
	ROUND(2, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z18)
	SCHEDULE(Z18, Z19, Z27, Z16)
	ROUND(3, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z19)
	SCHEDULE(Z19, Z20, Z28, Z17)
	ROUND(4, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z20)
	SCHEDULE(Z20, Z21, Z29, Z18)
	ROUND(5, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z21)
	SCHEDULE(Z21, Z22, Z30, Z19)
	ROUND(6, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z22)
	SCHEDULE(Z22, Z23, Z31, Z20)
	ROUND(7, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z23)
	SCHEDULE(Z23, Z24, Z16, Z21)
	ROUND(8, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z24)
	SCHEDULE(Z24, Z25, Z17, Z22)
	ROUND(9, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z25)
	SCHEDULE(Z25, Z26, Z18, Z23)
	ROUND(10, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z26)
	SCHEDULE(Z26, Z27, Z19, Z24)
	ROUND(11, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z27)
	SCHEDULE(Z27, Z28, Z20, Z25)
	ROUND(12, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z28)
	SCHEDULE(Z28, Z29, Z21, Z26)
	ROUND(13, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z29)
	SCHEDULE(Z29, Z30, Z22, Z27)
	ROUND(14, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z30)
	SCHEDULE(Z30, Z31, Z23, Z28)
	ROUND(15, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z31)
	SCHEDULE(Z31, Z16, Z24, Z29)
	ADDQ $64, BX
	DECL AX
	JNZ  sixteen

	ROUND(0, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z16)
	ROUND(1, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z17)
	ROUND(2, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z18)
	ROUND(3, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z19)
	ROUND(4, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z20)
	ROUND(5, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z21)
	ROUND(6, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z22)
	ROUND(7, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z23)
	ROUND(8, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z24)
	ROUND(9, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z25)
	ROUND(10, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z5, Z26)
	ROUND(11, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z4, Z27)
	ROUND(12, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z3, Z28)
	ROUND(13, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z2, Z29)
	ROUND(14, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z1, Z30)
	ROUND(15, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z0, Z31)

	ADD(0, Z0)
	ADD(1, Z1)
	ADD(2, Z2)
	ADD(3, Z3)
	ADD(4, Z4)
	ADD(5, Z5)
	ADD(6, Z6)
	ADD(7, Z7)
	ADDQ $64, SI
	ADDQ $64, R10
	ADDQ $64, R11
	ADDQ $64, R12
	DECQ CX
	JNZ  chunk
	VZEROUPPER
	RET
