//go:build !purego

#include "textflag.h"

// AES-XTS with VAES on registers of 256 bits, for CPUs without AVX-512.
//
//	Y0-Y7   16 blocks in flight, 256 bytes: half the smallest sector
//	Y8-Y11  the tweaks of the next eight blocks
//	Y12     a round key, twice
//	Y13-15  scratch
//
// As with AES-NI, the next tweaks are computed between the rounds, and the stack
// holds tweaks: from 0 on those of the blocks in flight, from 256 on the next.
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

// All rounds but the last, with one thing done after each of eight.
#define ROUNDS(OP, DO) \
	CMPQ R10, $10;   \
	JEQ  short;      \
	ROUND(OP, 16);   \
	ROUND(OP, 32);   \
	ROUND(OP, 48);   \
	ROUND(OP, 64);   \
short:               \
	ROUND(OP, 80);   \
	DO(256, Y8);     \
	ROUND(OP, 96);   \
	DO(288, Y9);     \
	ROUND(OP, 112);  \
	DO(320, Y10);    \
	ROUND(OP, 128);  \
	DO(352, Y11);    \
	ROUND(OP, 144);  \
	DO(384, Y8);     \
	ROUND(OP, 160);  \
	DO(416, Y9);     \
	ROUND(OP, 176);  \
	DO(448, Y10);    \
	ROUND(OP, 192);  \
	DO(480, Y11);    \
	ROUND(OP, 208)

#define NOTHING(OFFSET, TWO)

// Puts two tweaks by and computes those eight blocks on: times x^8, what is
// shifted out above coming back below, times the polynomial.
#define TWEAK(OFFSET, TWO) \
	VMOVDQU    TWO, OFFSET(SP);                  \
	VPSRLDQ    $15, TWO, Y13;                    \
	VPCLMULQDQ $0x00, ·polynomial(SB), Y13, Y13; \
	VPSLLDQ    $1, TWO, TWO;                     \
	VPXOR      Y13, TWO, TWO

// DATA = two blocks ^ their tweaks ^ first round key.
#define FIRST(OFFSET, DATA) \
	VMOVDQU (256+OFFSET)(SP), Y13; \
	VPXOR   OFFSET(SI), Y12, DATA; \
	VMOVDQU Y13, OFFSET(SP);       \
	VPXOR   Y13, DATA, DATA

// The last round, with the last round key ^ the tweak.
#define LAST(OP, STORE, OFFSET, DATA) \
	VPXOR   OFFSET(SP), Y12, Y13; \
	OP      Y13, DATA, DATA;      \
	STORE   DATA, OFFSET(DI)

// TO = the tweak in each block of Y15, times x to the powers at OFFSET of the
// tables. Y13 and Y14 are scratch.
#define SPREAD(OFFSET, TO) \
	VMOVDQU    ·shiftDown+OFFSET(SB), Y13;       \
	VPSRLVQ    Y13, Y15, Y13;                    \
	VMOVDQU    ·shiftUp+OFFSET(SB), TO;          \
	VPSLLVQ    TO, Y15, TO;                      \
	VPCLMULQDQ $0x01, ·polynomial(SB), Y13, Y14; \
	VPSLLDQ    $8, Y13, Y13;                     \
	VPXOR      Y14, TO, TO;                      \
	VPXOR      Y13, TO, TO

// The tweaks of the first eight blocks of a sector.
#define BEGIN_SECTOR \
	VBROADCASTI128 (DX), Y15; \
	SPREAD(0, Y8);            \
	SPREAD(32, Y9);           \
	SPREAD(64, Y10);          \
	SPREAD(96, Y11);          \
	MOVQ R8, R9

#define CRYPT(OP, OPLAST, LAST_KEY, STORE) \
	MOVQ 240(AX), R10;           \
	BEGIN_SECTOR;                \
	TWEAK(256, Y8);              \
	TWEAK(288, Y9);              \
	TWEAK(320, Y10);             \
	TWEAK(352, Y11);             \
	TWEAK(384, Y8);              \
	TWEAK(416, Y9);              \
	TWEAK(448, Y10);             \
	TWEAK(480, Y11);             \
blocks:                          \
	VBROADCASTI128 (AX), Y12;    \
	FIRST(0, Y0);                \
	FIRST(32, Y1);               \
	FIRST(64, Y2);               \
	FIRST(96, Y3);               \
	FIRST(128, Y4);              \
	FIRST(160, Y5);              \
	FIRST(192, Y6);              \
	FIRST(224, Y7);              \
	SUBQ $256, R9;               \
	JNE  inside;                 \
	DECQ CX;                     \
	JEQ  inside;                 \
	ADDQ $16, DX;                \
	BEGIN_SECTOR;                \
inside:                          \
	ROUNDS(OP, TWEAK);           \
	VBROADCASTI128 LAST_KEY(AX), Y12; \
	LAST(OPLAST, STORE, 0, Y0);    \
	LAST(OPLAST, STORE, 32, Y1);   \
	LAST(OPLAST, STORE, 64, Y2);   \
	LAST(OPLAST, STORE, 96, Y3);   \
	LAST(OPLAST, STORE, 128, Y4);  \
	LAST(OPLAST, STORE, 160, Y5);  \
	LAST(OPLAST, STORE, 192, Y6);  \
	LAST(OPLAST, STORE, 224, Y7);  \
	ADDQ $256, SI;               \
	ADDQ $256, DI;               \
	TESTQ R9, R9;                \
	JNE  blocks;                 \
	VZEROALL

// func encryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAVX2(SB), NOSPLIT, $512-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESENC, VAESENCLAST, 224, VMOVDQU)
	RET

// func streamAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// As encryptAVX2, past the caches; dst is a multiple of 32.
TEXT ·streamAVX2(SB), NOSPLIT, $512-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESENC, VAESENCLAST, 224, VMOVNTDQ)
	SFENCE
	RET

// func decryptAVX2(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// The last round key is the first of the schedule before, that for encryption.
TEXT ·decryptAVX2(SB), NOSPLIT, $512-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESDEC, VAESDECLAST, -248, VMOVDQU)
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
	ROUNDS(VAESENC, NOTHING)
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
