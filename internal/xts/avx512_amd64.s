//go:build !purego

#include "textflag.h"

// AES-XTS with VAES on registers of 512 bits.
//
//	Z0-Z7    32 blocks, 512 bytes: the smallest sector
//	Z8-Z15   their tweaks
//	Z16-Z30  the round keys, each four times: first those of even rounds, for the kernel
//	         saves all registers when a signal comes, in memory that nobody locks or wipes,
//	         and the first two beside each other would be the key as everybody looks for it.
//	         To load each when it is needed takes an eighth longer. AES-128 has none in Z24,
//	         Z17, Z25 and Z18
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

#define KEYS(LAST_KEY) \
	VBROADCASTI32X4 0(AX), Z16;   \
	VBROADCASTI32X4 16(AX), Z24;  \
	VBROADCASTI32X4 32(AX), Z17;  \
	VBROADCASTI32X4 48(AX), Z25;  \
	VBROADCASTI32X4 64(AX), Z18;  \
	VBROADCASTI32X4 80(AX), Z26;  \
	VBROADCASTI32X4 96(AX), Z19;  \
	VBROADCASTI32X4 112(AX), Z27; \
	VBROADCASTI32X4 128(AX), Z20; \
	VBROADCASTI32X4 144(AX), Z28; \
	VBROADCASTI32X4 160(AX), Z21; \
	VBROADCASTI32X4 176(AX), Z29; \
	VBROADCASTI32X4 192(AX), Z22; \
	VBROADCASTI32X4 208(AX), Z30; \
	VBROADCASTI32X4 LAST_KEY(AX), Z23; \
	MOVQ 240(AX), R10

#define ROUND(OP, KEY, A, B, C, D) \
	OP KEY, A, A; \
	OP KEY, B, B; \
	OP KEY, C, C; \
	OP KEY, D, D

// All rounds but the last, of 16 blocks. SHORT is a label.
#define ROUNDS(OP, SHORT, A, B, C, D) \
	CMPQ R10, $10;               \
	JEQ  SHORT;                  \
	ROUND(OP, Z24, A, B, C, D);  \
	ROUND(OP, Z17, A, B, C, D);  \
	ROUND(OP, Z25, A, B, C, D);  \
	ROUND(OP, Z18, A, B, C, D);  \
SHORT:                           \
	ROUND(OP, Z26, A, B, C, D);  \
	ROUND(OP, Z19, A, B, C, D);  \
	ROUND(OP, Z27, A, B, C, D);  \
	ROUND(OP, Z20, A, B, C, D);  \
	ROUND(OP, Z28, A, B, C, D);  \
	ROUND(OP, Z21, A, B, C, D);  \
	ROUND(OP, Z29, A, B, C, D);  \
	ROUND(OP, Z22, A, B, C, D);  \
	ROUND(OP, Z30, A, B, C, D)

// DATA = four blocks ^ TWEAK ^ first round key.
#define FIRST(OFFSET, DATA, TWEAK); \
	VMOVDQU64  OFFSET(SI), DATA;      \
	VPTERNLOGQ $0x96, Z16, TWEAK, DATA

// The last round, with the last round key ^ TWEAK.
#define LAST(OP, STORE, OFFSET, DATA, TWEAK) \
	VPXORQ Z23, TWEAK, Z31;  \
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
	KEYS(LAST_KEY);                      \
sector:                                  \
	BEGIN_SECTOR;                        \
	MOVQ R8, R9;                         \
blocks:                                  \
	FIRST(0, Z0, Z8);                    \
	FIRST(64, Z1, Z9);                   \
	FIRST(128, Z2, Z10);                 \
	FIRST(192, Z3, Z11);                 \
	ROUNDS(OP, short1, Z0, Z1, Z2, Z3);  \
	LAST(OPLAST, STORE, 0, Z0, Z8);        \
	LAST(OPLAST, STORE, 64, Z1, Z9);       \
	LAST(OPLAST, STORE, 128, Z2, Z10);     \
	LAST(OPLAST, STORE, 192, Z3, Z11);     \
	NEXT_TWEAKS(Z8, Z9, Z10, Z11);       \
	FIRST(256, Z4, Z12);                 \
	FIRST(320, Z5, Z13);                 \
	FIRST(384, Z6, Z14);                 \
	FIRST(448, Z7, Z15);                 \
	ROUNDS(OP, short2, Z4, Z5, Z6, Z7);  \
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
	VPXORQ Z17, Z17, Z17; \
	VPXORQ Z18, Z18, Z18; \
	VPXORQ Z19, Z19, Z19; \
	VPXORQ Z20, Z20, Z20; \
	VPXORQ Z21, Z21, Z21; \
	VPXORQ Z22, Z22, Z22; \
	VPXORQ Z23, Z23, Z23; \
	VPXORQ Z24, Z24, Z24; \
	VPXORQ Z25, Z25, Z25; \
	VPXORQ Z26, Z26, Z26; \
	VPXORQ Z27, Z27, Z27; \
	VPXORQ Z28, Z28, Z28; \
	VPXORQ Z29, Z29, Z29; \
	VPXORQ Z30, Z30, Z30; \
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
	VAESENCLAST Z23, DATA, DATA; \
	VMOVDQU64   DATA, OFFSET(DI)

// func encryptBlocksAVX512(s *schedule, blocks *tweaks, n int)
//
// 16 blocks at a time.
TEXT ·encryptBlocksAVX512(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), AX
	MOVQ blocks+8(FP), DI
	MOVQ n+16(FP), CX
	KEYS(224)

loop:
	FIRST_BLOCKS(0, Z0)
	FIRST_BLOCKS(64, Z1)
	FIRST_BLOCKS(128, Z2)
	FIRST_BLOCKS(192, Z3)
	ROUNDS(VAESENC, short, Z0, Z1, Z2, Z3)
	LAST_BLOCKS(0, Z0)
	LAST_BLOCKS(64, Z1)
	LAST_BLOCKS(128, Z2)
	LAST_BLOCKS(192, Z3)
	ADDQ $256, DI
	SUBQ $16, CX
	JGT  loop
	WIPE
	RET
