//go:build !purego

#include "textflag.h"

// AES-XTS with VAES on registers of 512 bits.
//
//	Z0-Z7    32 blocks, 512 bytes: the smallest sector
//	Z8-Z15   their tweaks
//	Z16      a round key, four times: never two, for what a signal interrupts is saved in
//	         memory that nobody locks or wipes
//	Z31      scratch
//
// Intel's CPUs begin one AES round on one such register a cycle, all on the same
// port. The tweaks are therefore computed with instructions that run on another:
// shifts by whole bytes and carry-less multiplication, not shifts by bits. And the
// blocks go in two halves of 16, as many as hide the latency of a round: the CPU
// can then look past the end of one half and begin the next.
//
//	AX schedule  SI source  DI destination  DX tweaks  CX sectors left
//	R8 bytes of a sector  R9 bytes left of this one  R10 rounds

// A round of 16 blocks, with the round key at OFFSET.
#define ROUND(OP, OFFSET, A, B, C, D) \
	VBROADCASTI32X4 OFFSET(AX), Z16; \
	OP Z16, A, A; \
	OP Z16, B, B; \
	OP Z16, C, C; \
	OP Z16, D, D

// All rounds but the last, of 16 blocks. SHORT is a label.
#define ROUNDS(OP, SHORT, A, B, C, D) \
	CMPQ R10, $10;               \
	JEQ  SHORT;                  \
	ROUND(OP, 16, A, B, C, D);   \
	ROUND(OP, 32, A, B, C, D);   \
	ROUND(OP, 48, A, B, C, D);   \
	ROUND(OP, 64, A, B, C, D);   \
SHORT:                           \
	ROUND(OP, 80, A, B, C, D);   \
	ROUND(OP, 96, A, B, C, D);   \
	ROUND(OP, 112, A, B, C, D);  \
	ROUND(OP, 128, A, B, C, D);  \
	ROUND(OP, 144, A, B, C, D);  \
	ROUND(OP, 160, A, B, C, D);  \
	ROUND(OP, 176, A, B, C, D);  \
	ROUND(OP, 192, A, B, C, D);  \
	ROUND(OP, 208, A, B, C, D)

// DATA = four blocks ^ TWEAK ^ first round key.
#define FIRST(OFFSET, DATA, TWEAK); \
	VMOVDQU64  OFFSET(SI), DATA;      \
	VPTERNLOGQ $0x96, Z16, TWEAK, DATA

// The last round, with the last round key ^ TWEAK.
#define LAST(OP, STORE, OFFSET, DATA, TWEAK) \
	VPXORQ Z16, TWEAK, Z31;  \
	OP     Z31, DATA, DATA;  \
	STORE  DATA, OFFSET(DI)

// TO = FROM * x^(8 * BYTES): what is shifted out above comes back below, times
// the polynomial.
#define TIMES(BYTES, FROM, TO) \
	VPSRLDQ    $(16-BYTES), FROM, Z31;       \
	VPCLMULQDQ $0x00, ·polynomial(SB), Z31, Z31; \
	VPSLLDQ    $BYTES, FROM, TO;             \
	VPXORQ     Z31, TO, TO

// TO = the tweak in each block of Z0, times x to the powers at OFFSET of the
// tables. Z1 is scratch.
#define SPREAD(OFFSET, TO) \
	VPSRLVQ    ·shiftDown+OFFSET(SB), Z0, Z31; \
	VPSLLVQ    ·shiftUp+OFFSET(SB), Z0, TO;    \
	VPCLMULQDQ $0x01, ·polynomial(SB), Z31, Z1;  \
	VPSLLDQ    $8, Z31, Z31;                   \
	VPTERNLOGQ $0x96, Z31, Z1, TO

// The tweaks of the first 32 blocks of a sector.
#define BEGIN_SECTOR \
	VBROADCASTI32X4 (DX), Z0; \
	SPREAD(0, Z8);             \
	SPREAD(64, Z9);            \
	TIMES(1, Z8, Z10);         \
	TIMES(1, Z9, Z11);         \
	TIMES(2, Z8, Z12);         \
	TIMES(2, Z9, Z13);         \
	TIMES(3, Z8, Z14);         \
	TIMES(3, Z9, Z15)

// The tweaks of the blocks 32 blocks on.
#define NEXT_TWEAKS(A, B, C, D) \
	TIMES(4, A, A); \
	TIMES(4, B, B); \
	TIMES(4, C, C); \
	TIMES(4, D, D)

#define CRYPT(OP, OPLAST, LAST_KEY, STORE) \
	MOVQ 240(AX), R10;                   \
sector:                                  \
	BEGIN_SECTOR;                        \
	MOVQ R8, R9;                         \
blocks:                                  \
	VBROADCASTI32X4 (AX), Z16;           \
	FIRST(0, Z0, Z8);                    \
	FIRST(64, Z1, Z9);                   \
	FIRST(128, Z2, Z10);                 \
	FIRST(192, Z3, Z11);                 \
	ROUNDS(OP, short1, Z0, Z1, Z2, Z3);  \
	VBROADCASTI32X4 LAST_KEY(AX), Z16;   \
	LAST(OPLAST, STORE, 0, Z0, Z8);        \
	LAST(OPLAST, STORE, 64, Z1, Z9);       \
	LAST(OPLAST, STORE, 128, Z2, Z10);     \
	LAST(OPLAST, STORE, 192, Z3, Z11);     \
	NEXT_TWEAKS(Z8, Z9, Z10, Z11);       \
	VBROADCASTI32X4 (AX), Z16;           \
	FIRST(256, Z4, Z12);                 \
	FIRST(320, Z5, Z13);                 \
	FIRST(384, Z6, Z14);                 \
	FIRST(448, Z7, Z15);                 \
	ROUNDS(OP, short2, Z4, Z5, Z6, Z7);  \
	VBROADCASTI32X4 LAST_KEY(AX), Z16;   \
	LAST(OPLAST, STORE, 256, Z4, Z12);     \
	LAST(OPLAST, STORE, 320, Z5, Z13);     \
	LAST(OPLAST, STORE, 384, Z6, Z14);     \
	LAST(OPLAST, STORE, 448, Z7, Z15);     \
	NEXT_TWEAKS(Z12, Z13, Z14, Z15);     \
	ADDQ $512, SI;                       \
	ADDQ $512, DI;                       \
	SUBQ $512, R9;                       \
	JNE  blocks;                         \
	ADDQ $16, DX;                        \
	DECQ CX;                             \
	JNE  sector;                         \
	WIPE

// No register may keep a round key.
#define WIPE \
	VPXORQ Z16, Z16, Z16; \
	VPXORQ Z31, Z31, Z31; \
	VZEROALL

// func encryptAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAVX512(SB), NOSPLIT, $0-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESENC, VAESENCLAST, 224, VMOVDQU64)
	RET

// func streamAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// As encryptAVX512, past the caches; dst is a multiple of 64.
TEXT ·streamAVX512(SB), NOSPLIT, $0-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESENC, VAESENCLAST, 224, VMOVNTDQ)
	SFENCE
	RET

// func decryptAVX512(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// The last round key is the first of the schedule before, that for encryption.
TEXT ·decryptAVX512(SB), NOSPLIT, $0-48
	MOVQ s+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ first+24(FP), DX
	MOVQ sectors+32(FP), CX
	MOVQ sectorSize+40(FP), R8
	CRYPT(VAESDEC, VAESDECLAST, -248, VMOVDQU64)
	RET

// Four blocks ^ first round key, and their last round.
#define FIRST_BLOCKS(OFFSET, DATA); \
	VPXORQ OFFSET(DI), Z16, DATA

#define LAST_BLOCKS(OFFSET, DATA) \
	VAESENCLAST Z16, DATA, DATA; \
	VMOVDQU64   DATA, OFFSET(DI)

// func encryptBlocksAVX512(s *schedule, blocks *tweaks, n int)
//
// 16 blocks at a time.
TEXT ·encryptBlocksAVX512(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), AX
	MOVQ blocks+8(FP), DI
	MOVQ n+16(FP), CX
	MOVQ 240(AX), R10

loop:
	VBROADCASTI32X4 (AX), Z16
	FIRST_BLOCKS(0, Z0)
	FIRST_BLOCKS(64, Z1)
	FIRST_BLOCKS(128, Z2)
	FIRST_BLOCKS(192, Z3)
	ROUNDS(VAESENC, short, Z0, Z1, Z2, Z3)
	VBROADCASTI32X4 224(AX), Z16
	LAST_BLOCKS(0, Z0)
	LAST_BLOCKS(64, Z1)
	LAST_BLOCKS(128, Z2)
	LAST_BLOCKS(192, Z3)
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	WIPE
	RET
