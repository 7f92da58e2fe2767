//go:build !purego

#include "textflag.h"

// AES-XTS with VAES on registers of 256 bits, for CPUs without AVX-512.
//
//	Y0-Y7   16 blocks in flight, 256 bytes: half the smallest sector
//	Y8-Y11  the tweaks of the next eight blocks
//	Y12     a round key, twice
//	Y13     scratch
//
// The tweaks wait for the end of the rounds on the stack.
//
//	AX schedule  SI source  DI destination  DX tweaks  CX sectors left
//	R8 bytes of a sector  R9 bytes left of this one  R10 rounds

#define ROUND(OP, OFFSET) \
	VBROADCASTI128 OFFSET(AX), Y12; \
	OP Y12, Y0, Y0; \
	OP Y12, Y1, Y1; \
	OP Y12, Y2, Y2; \
	OP Y12, Y3, Y3; \
	OP Y12, Y4, Y4; \
	OP Y12, Y5, Y5; \
	OP Y12, Y6, Y6; \
	OP Y12, Y7, Y7

// All rounds but the last.
#define ROUNDS(OP) \
	CMPQ R10, $10;   \
	JEQ  short;      \
	ROUND(OP, 16);   \
	ROUND(OP, 32);   \
	ROUND(OP, 48);   \
	ROUND(OP, 64);   \
short:               \
	ROUND(OP, 80);   \
	ROUND(OP, 96);   \
	ROUND(OP, 112);  \
	ROUND(OP, 128);  \
	ROUND(OP, 144);  \
	ROUND(OP, 160);  \
	ROUND(OP, 176);  \
	ROUND(OP, 192);  \
	ROUND(OP, 208)

// DATA = two blocks ^ TWEAK ^ first round key; then TWEAK is that of the blocks
// eight blocks on: times x^8, what is shifted out above coming back below, times
// the polynomial.
#define FIRST(OFFSET, DATA, TWEAK) \
	VPXOR      OFFSET(SI), TWEAK, DATA;        \
	VPXOR      Y12, DATA, DATA;                \
	VMOVDQU    TWEAK, OFFSET(SP);              \
	VPSRLDQ    $15, TWEAK, Y13;                \
	VPCLMULQDQ $0x00, ·polynomial(SB), Y13, Y13; \
	VPSLLDQ    $1, TWEAK, TWEAK;               \
	VPXOR      Y13, TWEAK, TWEAK

// The last round, with the last round key ^ the tweak.
#define LAST(OP, OFFSET, DATA) \
	VPXOR   OFFSET(SP), Y12, Y13; \
	OP      Y13, DATA, DATA;      \
	VMOVDQU DATA, OFFSET(DI)

// TO = the tweak in each block of Y0, times x to the powers at OFFSET of the
// tables. Y1 and Y13 are scratch.
#define SPREAD(OFFSET, TO) \
	VMOVDQU    ·shiftDown+OFFSET(SB), Y13;      \
	VPSRLVQ    Y13, Y0, Y13;                    \
	VMOVDQU    ·shiftUp+OFFSET(SB), TO;         \
	VPSLLVQ    TO, Y0, TO;                      \
	VPCLMULQDQ $0x01, ·polynomial(SB), Y13, Y1; \
	VPSLLDQ    $8, Y13, Y13;                    \
	VPXOR      Y1, TO, TO;                      \
	VPXOR      Y13, TO, TO

#define CRYPT(OP, OPLAST) \
	MOVQ 240(AX), R10;           \
sector:                          \
	VBROADCASTI128 (DX), Y0;     \
	SPREAD(0, Y8);               \
	SPREAD(32, Y9);              \
	SPREAD(64, Y10);             \
	SPREAD(96, Y11);             \
	MOVQ R8, R9;                 \
blocks:                          \
	VBROADCASTI128 (AX), Y12;    \
	FIRST(0, Y0, Y8);            \
	FIRST(32, Y1, Y9);           \
	FIRST(64, Y2, Y10);          \
	FIRST(96, Y3, Y11);          \
	FIRST(128, Y4, Y8);          \
	FIRST(160, Y5, Y9);          \
	FIRST(192, Y6, Y10);         \
	FIRST(224, Y7, Y11);         \
	ROUNDS(OP);                  \
	VBROADCASTI128 224(AX), Y12; \
	LAST(OPLAST, 0, Y0);         \
	LAST(OPLAST, 32, Y1);        \
	LAST(OPLAST, 64, Y2);        \
	LAST(OPLAST, 96, Y3);        \
	LAST(OPLAST, 128, Y4);       \
	LAST(OPLAST, 160, Y5);       \
	LAST(OPLAST, 192, Y6);       \
	LAST(OPLAST, 224, Y7);       \
	ADDQ $256, SI;               \
	ADDQ $256, DI;               \
	SUBQ $256, R9;               \
	JNE  blocks;                 \
	ADDQ $16, DX;                \
	DECQ CX;                     \
	JNE  sector;                 \
	VZEROALL

// func encryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAVX2(SB), NOSPLIT, $256-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESENC, VAESENCLAST)
	RET

// func decryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·decryptAVX2(SB), NOSPLIT, $256-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESDEC, VAESDECLAST)
	RET

// Two blocks ^ first round key, and their last round.
#define FIRST_BLOCKS(OFFSET, DATA) \
	VPXOR OFFSET(DI), Y12, DATA

#define LAST_BLOCKS(OFFSET, DATA) \
	VAESENCLAST Y12, DATA, DATA; \
	VMOVDQU     DATA, OFFSET(DI)

// func encryptBlocksAVX2(s *schedule, blocks *tweaks, n int)
//
// 16 blocks at a time.
TEXT ·encryptBlocksAVX2(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), AX
	MOVQ blocks+8(FP), DI
	MOVQ n+16(FP), CX
	MOVQ 240(AX), R10

loop:
	VBROADCASTI128 (AX), Y12
	FIRST_BLOCKS(0, Y0)
	FIRST_BLOCKS(32, Y1)
	FIRST_BLOCKS(64, Y2)
	FIRST_BLOCKS(96, Y3)
	FIRST_BLOCKS(128, Y4)
	FIRST_BLOCKS(160, Y5)
	FIRST_BLOCKS(192, Y6)
	FIRST_BLOCKS(224, Y7)
	ROUNDS(VAESENC)
	VBROADCASTI128 224(AX), Y12
	LAST_BLOCKS(0, Y0)
	LAST_BLOCKS(32, Y1)
	LAST_BLOCKS(64, Y2)
	LAST_BLOCKS(96, Y3)
	LAST_BLOCKS(128, Y4)
	LAST_BLOCKS(160, Y5)
	LAST_BLOCKS(192, Y6)
	LAST_BLOCKS(224, Y7)
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	VZEROALL
	RET
