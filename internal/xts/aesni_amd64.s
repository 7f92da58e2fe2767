//go:build !purego

#include "textflag.h"

// AES-XTS with AES-NI, on any x86-64 CPU since 2010.
//
//	X0-X7  8 blocks in flight
//	X8     the tweak of the next block
//	X9     scratch
//	X10    what a bit lost at the top of each half adds below
//	X11    a round key
//
// The next tweaks are computed between the rounds, because nothing else would
// keep the CPU busy with AES while it computes them: it does not look far enough
// ahead. Tweaks are on the stack: from 0 on those of the blocks in flight, which
// need them again after the rounds, from 128 on the next.
//
//	AX schedule  SI source  DI destination  DX tweaks  CX sectors left
//	R8 bytes of a sector  R9 bytes left of this one  R10 rounds

// The bit above the low half is bit 0 of the high half; that above the high half
// is x^128, which is 0x87.
DATA carry<>+0x00(SB)/8, $0x87
DATA carry<>+0x08(SB)/8, $1
GLOBL carry<>(SB), RODATA|NOPTR, $16

#define ROUND(OP, OFFSET) \
	MOVOU OFFSET(AX), X11; \
	OP X11, X0; \
	OP X11, X1; \
	OP X11, X2; \
	OP X11, X3; \
	OP X11, X4; \
	OP X11, X5; \
	OP X11, X6; \
	OP X11, X7

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
	DO(128);         \
	ROUND(OP, 96);   \
	DO(144);         \
	ROUND(OP, 112);  \
	DO(160);         \
	ROUND(OP, 128);  \
	DO(176);         \
	ROUND(OP, 144);  \
	DO(192);         \
	ROUND(OP, 160);  \
	DO(208);         \
	ROUND(OP, 176);  \
	DO(224);         \
	ROUND(OP, 192);  \
	DO(240);         \
	ROUND(OP, 208)

#define NOTHING(OFFSET)

// Puts a tweak by and doubles it: the sign of each half, as a mask, is brought to
// the other half.
#define TWEAK(OFFSET) \
	MOVOU  X8, OFFSET(SP); \
	PSHUFD $0x13, X8, X9;  \
	PADDQ  X8, X8;         \
	PSRAL  $31, X9;        \
	PAND   X10, X9;        \
	PXOR   X9, X8

// DATA = a block ^ its tweak ^ first round key.
#define FIRST(OFFSET, DATA) \
	MOVOU OFFSET(SI), DATA;    \
	MOVOU (128+OFFSET)(SP), X9; \
	PXOR  X11, DATA;           \
	MOVOU X9, OFFSET(SP);      \
	PXOR  X9, DATA

// The last round, with the last round key ^ the tweak.
#define LAST(OP, STORE, OFFSET, DATA) \
	MOVOU OFFSET(SP), X9;   \
	PXOR  X11, X9;          \
	OP    X9, DATA;         \
	STORE DATA, OFFSET(DI)

#define WIPE \
	PXOR X0, X0;   \
	PXOR X1, X1;   \
	PXOR X2, X2;   \
	PXOR X3, X3;   \
	PXOR X4, X4;   \
	PXOR X5, X5;   \
	PXOR X6, X6;   \
	PXOR X7, X7;   \
	PXOR X8, X8;   \
	PXOR X9, X9;   \
	PXOR X11, X11

#define CRYPT(OP, OPLAST, LAST_KEY, STORE) \
	MOVQ  240(AX), R10;            \
	MOVOU carry<>(SB), X10;        \
	MOVOU (DX), X8;                \
	MOVQ  R8, R9;                  \
	TWEAK(128);                    \
	TWEAK(144);                    \
	TWEAK(160);                    \
	TWEAK(176);                    \
	TWEAK(192);                    \
	TWEAK(208);                    \
	TWEAK(224);                    \
	TWEAK(240);                    \
blocks:                         \
	MOVOU (AX), X11;               \
	FIRST(0, X0);                  \
	FIRST(16, X1);                 \
	FIRST(32, X2);                 \
	FIRST(48, X3);                 \
	FIRST(64, X4);                 \
	FIRST(80, X5);                 \
	FIRST(96, X6);                 \
	FIRST(112, X7);                \
	SUBQ  $128, R9;                \
	JNE   inside;                  \
	DECQ  CX;                      \
	JEQ   inside;                  \
	ADDQ  $16, DX;                 \
	MOVOU (DX), X8;                \
	MOVQ  R8, R9;                  \
inside:                         \
	ROUNDS(OP, TWEAK);             \
	MOVOU LAST_KEY(AX), X11;       \
	LAST(OPLAST, STORE, 0, X0);    \
	LAST(OPLAST, STORE, 16, X1);   \
	LAST(OPLAST, STORE, 32, X2);   \
	LAST(OPLAST, STORE, 48, X3);   \
	LAST(OPLAST, STORE, 64, X4);   \
	LAST(OPLAST, STORE, 80, X5);   \
	LAST(OPLAST, STORE, 96, X6);   \
	LAST(OPLAST, STORE, 112, X7);  \
	ADDQ  $128, SI;                \
	ADDQ  $128, DI;                \
	TESTQ R9, R9;                  \
	JNE   blocks;                  \
	WIPE

// func encryptAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAESNI(SB), NOSPLIT, $256-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(AESENC, AESENCLAST, 224, MOVOU)
	RET

// func streamAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// As encryptAESNI, past the caches; dst is a multiple of 16.
TEXT ·streamAESNI(SB), NOSPLIT, $256-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(AESENC, AESENCLAST, 224, MOVNTO)
	SFENCE
	RET

// func decryptAESNI(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// The last round key is the first of the schedule before, that for encryption.
TEXT ·decryptAESNI(SB), NOSPLIT, $256-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(AESDEC, AESDECLAST, -248, MOVOU)
	RET

// A block ^ first round key, and its last round.
#define FIRST_BLOCK(OFFSET, DATA) \
	MOVOU OFFSET(DI), DATA; \
	PXOR  X11, DATA

#define LAST_BLOCK(OFFSET, DATA) \
	AESENCLAST X11, DATA;       \
	MOVOU      DATA, OFFSET(DI)

// func encryptBlocksAESNI(s *schedule, blocks *tweaks, n int)
//
// 8 blocks at a time.
TEXT ·encryptBlocksAESNI(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), AX
	MOVQ blocks+8(FP), DI
	MOVQ n+16(FP), CX
	MOVQ 240(AX), R10

loop:
	MOVOU (AX), X11
	FIRST_BLOCK(0, X0)
	FIRST_BLOCK(16, X1)
	FIRST_BLOCK(32, X2)
	FIRST_BLOCK(48, X3)
	FIRST_BLOCK(64, X4)
	FIRST_BLOCK(80, X5)
	FIRST_BLOCK(96, X6)
	FIRST_BLOCK(112, X7)
	ROUNDS(AESENC, NOTHING)
	MOVOU 224(AX), X11
	LAST_BLOCK(0, X0)
	LAST_BLOCK(16, X1)
	LAST_BLOCK(32, X2)
	LAST_BLOCK(48, X3)
	LAST_BLOCK(64, X4)
	LAST_BLOCK(80, X5)
	LAST_BLOCK(96, X6)
	LAST_BLOCK(112, X7)
	ADDQ $128, DI
	SUBQ $8, CX
	JGT  loop
	WIPE
	RET
