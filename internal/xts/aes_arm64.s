//go:build !purego

#include "textflag.h"

// AES-XTS with the AES instructions of ARMv8.
//
//	V0-V7    8 blocks in flight
//	V8-V15   their tweaks
//	V16, V17 the round keys of odd and of even rounds: never more, and not in the order of
//	         the schedule, for what a signal interrupts is saved in memory that nobody locks
//	         or wipes
//
// An instruction here adds the round key before its round, not after it: the key
// of the last round is added by hand, with the tweak. The next tweaks are computed
// between the rounds, in the general registers, and wait on the stack.
//
//	R0 schedule  R1 destination  R2 source  R3 tweaks  R4 sectors left
//	R5 bytes of a sector  R6 bytes left of this one  R7 rounds
//	R8, R9 the tweak of the next block, low and high half  R10, R13 scratch
//	R11 the next tweaks, on the stack  R12 polynomial

// A round with KEY, while the key after it, at OFFSET, is loaded.
#define ROUND(OP, MIX, KEY, NEXT, OFFSET) \
	FMOVQ OFFSET(R0), NEXT; \
	OP  KEY.B16, V0.B16; \
	MIX V0.B16, V0.B16;  \
	OP  KEY.B16, V1.B16; \
	MIX V1.B16, V1.B16;  \
	OP  KEY.B16, V2.B16; \
	MIX V2.B16, V2.B16;  \
	OP  KEY.B16, V3.B16; \
	MIX V3.B16, V3.B16;  \
	OP  KEY.B16, V4.B16; \
	MIX V4.B16, V4.B16;  \
	OP  KEY.B16, V5.B16; \
	MIX V5.B16, V5.B16;  \
	OP  KEY.B16, V6.B16; \
	MIX V6.B16, V6.B16;  \
	OP  KEY.B16, V7.B16; \
	MIX V7.B16, V7.B16

#define LAST_ROUND(OP, LAST_KEY) \
	FMOVQ LAST_KEY(R0), F17; \
	OP V16.B16, V0.B16; \
	OP V16.B16, V1.B16; \
	OP V16.B16, V2.B16; \
	OP V16.B16, V3.B16; \
	OP V16.B16, V4.B16; \
	OP V16.B16, V5.B16; \
	OP V16.B16, V6.B16; \
	OP V16.B16, V7.B16

// All rounds, with one thing done after each of eight.
#define ROUNDS(OP, MIX, LAST_KEY, DO) \
	FMOVQ (R0), F17;              \
	CMP $10, R7;                  \
	BEQ short;                    \
	ROUND(OP, MIX, V17, F16, 16); \
	ROUND(OP, MIX, V16, F17, 32); \
	ROUND(OP, MIX, V17, F16, 48); \
	ROUND(OP, MIX, V16, F17, 64); \
short:                            \
	ROUND(OP, MIX, V17, F16, 80);  \
	ROUND(OP, MIX, V16, F17, 96);  \
	DO(0);                         \
	ROUND(OP, MIX, V17, F16, 112); \
	DO(16);                        \
	ROUND(OP, MIX, V16, F17, 128); \
	DO(32);                        \
	ROUND(OP, MIX, V17, F16, 144); \
	DO(48);                        \
	ROUND(OP, MIX, V16, F17, 160); \
	DO(64);                        \
	ROUND(OP, MIX, V17, F16, 176); \
	DO(80);                        \
	ROUND(OP, MIX, V16, F17, 192); \
	DO(96);                        \
	ROUND(OP, MIX, V17, F16, 208); \
	DO(112);                       \
	LAST_ROUND(OP, LAST_KEY)

#define NOTHING(OFFSET)

// Puts a tweak by and doubles it.
#define TWEAK(OFFSET) \
	STP  (R8, R9), OFFSET(R11); \
	ASR  $63, R9, R10;          \
	EXTR $63, R8, R9, R9;       \
	AND  R12, R10, R10;         \
	EOR  R8<<1, R10, R8

#define XOR(DATA, WITH) \
	VEOR WITH.B16, DATA.B16, DATA.B16

#define XOR_TWEAKS \
	XOR(V0, V8);  \
	XOR(V1, V9);  \
	XOR(V2, V10); \
	XOR(V3, V11); \
	XOR(V4, V12); \
	XOR(V5, V13); \
	XOR(V6, V14); \
	XOR(V7, V15)

#define XOR_LAST_KEY \
	XOR(V0, V17); \
	XOR(V1, V17); \
	XOR(V2, V17); \
	XOR(V3, V17); \
	XOR(V4, V17); \
	XOR(V5, V17); \
	XOR(V6, V17); \
	XOR(V7, V17)

#define CRYPT(OP, MIX, LAST_KEY) \
	MOVD   240(R0), R7;                                          \
	MOVD   $0x87, R12;                                           \
	LDP    (R3), (R8, R9);                                       \
	MOVD   R5, R6;                                               \
	TWEAK(0);                                                    \
	TWEAK(16);                                                   \
	TWEAK(32);                                                   \
	TWEAK(48);                                                   \
	TWEAK(64);                                                   \
	TWEAK(80);                                                   \
	TWEAK(96);                                                   \
	TWEAK(112);                                                  \
blocks:                                                          \
	MOVD   R11, R13;                                             \
	VLD1.P 64(R13), [V8.B16, V9.B16, V10.B16, V11.B16];          \
	VLD1   (R13), [V12.B16, V13.B16, V14.B16, V15.B16];          \
	VLD1.P 64(R2), [V0.B16, V1.B16, V2.B16, V3.B16];             \
	VLD1.P 64(R2), [V4.B16, V5.B16, V6.B16, V7.B16];             \
	XOR_TWEAKS;                                                  \
	SUBS   $128, R6, R6;                                         \
	BNE    inside;                                               \
	SUBS   $1, R4, R4;                                           \
	BEQ    inside;                                               \
	ADD    $16, R3, R3;                                          \
	LDP    (R3), (R8, R9);                                       \
	MOVD   R5, R6;                                               \
inside:                                                          \
	ROUNDS(OP, MIX, LAST_KEY, TWEAK);                            \
	XOR_LAST_KEY;                                                \
	XOR_TWEAKS;                                                  \
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R1);             \
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R1);             \
	CBNZ   R6, blocks;                                           \
	WIPE

// No register may keep a round key.
#define WIPE \
	VEOR V16.B16, V16.B16, V16.B16; \
	VEOR V17.B16, V17.B16, V17.B16

// func encryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAES(SB), NOSPLIT, $128-48
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD first+24(FP), R3
	MOVD sectors+32(FP), R4
	MOVD sectorSize+40(FP), R5
	MOVD $next-128(SP), R11
	CRYPT(AESE, AESMC, 224)
	RET

// func decryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
//
// The last round key is the first of the schedule before, that for encryption.
TEXT ·decryptAES(SB), NOSPLIT, $128-48
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD first+24(FP), R3
	MOVD sectors+32(FP), R4
	MOVD sectorSize+40(FP), R5
	MOVD $next-128(SP), R11
	CRYPT(AESD, AESIMC, -248)
	RET

// func encryptBlocksAES(s *schedule, blocks *tweaks, n int)
//
// 8 blocks at a time.
TEXT ·encryptBlocksAES(SB), NOSPLIT, $0-24
	MOVD s+0(FP), R0
	MOVD blocks+8(FP), R1
	MOVD n+16(FP), R4
	MOVD 240(R0), R7

loop:
	MOVD   R1, R2
	VLD1.P 64(R2), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1   (R2), [V4.B16, V5.B16, V6.B16, V7.B16]
	ROUNDS(AESE, AESMC, 224, NOTHING)
	XOR_LAST_KEY
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R1)
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R1)
	SUBS   $8, R4, R4
	BGT    loop
	WIPE
	RET
