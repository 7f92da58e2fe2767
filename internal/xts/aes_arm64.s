//go:build !purego

#include "textflag.h"

// AES-XTS with the AES instructions of ARMv8.
//
//	V0-V7    8 blocks in flight
//	V8-V15   their tweaks
//	V16-V30  the round keys; AES-128 has none in V17-V20
//
// An instruction here adds the round key before its round, not after it: the key
// of the last round is added by hand, with the tweak. The next tweaks are computed
// between the rounds, in the general registers, and wait on the stack.
//
//	R0 schedule  R1 destination  R2 source  R3 tweaks  R4 sectors left
//	R5 bytes of a sector  R6 bytes left of this one  R7 rounds
//	R8, R9 the tweak of the next block, low and high half  R10, R13 scratch
//	R11 the next tweaks, on the stack  R12 polynomial

#define KEYS \
	MOVD   R0, R13;                                        \
	VLD1.P 64(R13), [V16.B16, V17.B16, V18.B16, V19.B16];  \
	VLD1.P 64(R13), [V20.B16, V21.B16, V22.B16, V23.B16];  \
	VLD1.P 64(R13), [V24.B16, V25.B16, V26.B16, V27.B16];  \
	VLD1.P 48(R13), [V28.B16, V29.B16, V30.B16];           \
	MOVD   (R13), R7

#define ROUND(OP, MIX, KEY) \
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

#define LAST_ROUND(OP) \
	OP V29.B16, V0.B16; \
	OP V29.B16, V1.B16; \
	OP V29.B16, V2.B16; \
	OP V29.B16, V3.B16; \
	OP V29.B16, V4.B16; \
	OP V29.B16, V5.B16; \
	OP V29.B16, V6.B16; \
	OP V29.B16, V7.B16

// All rounds, with one thing done after each of eight.
#define ROUNDS(OP, MIX, DO) \
	ROUND(OP, MIX, V16); \
	CMP $10, R7;         \
	BEQ short;           \
	ROUND(OP, MIX, V17); \
	ROUND(OP, MIX, V18); \
	ROUND(OP, MIX, V19); \
	ROUND(OP, MIX, V20); \
short:                   \
	ROUND(OP, MIX, V21); \
	DO(0);               \
	ROUND(OP, MIX, V22); \
	DO(16);              \
	ROUND(OP, MIX, V23); \
	DO(32);              \
	ROUND(OP, MIX, V24); \
	DO(48);              \
	ROUND(OP, MIX, V25); \
	DO(64);              \
	ROUND(OP, MIX, V26); \
	DO(80);              \
	ROUND(OP, MIX, V27); \
	DO(96);              \
	ROUND(OP, MIX, V28); \
	DO(112);             \
	LAST_ROUND(OP)

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
	XOR(V0, V30); \
	XOR(V1, V30); \
	XOR(V2, V30); \
	XOR(V3, V30); \
	XOR(V4, V30); \
	XOR(V5, V30); \
	XOR(V6, V30); \
	XOR(V7, V30)

#define CRYPT(OP, MIX) \
	KEYS;                                                        \
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
	ROUNDS(OP, MIX, TWEAK);                                      \
	XOR_LAST_KEY;                                                \
	XOR_TWEAKS;                                                  \
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R1);             \
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R1);             \
	CBNZ   R6, blocks;                                           \
	WIPE

#define WIPE_KEY(KEY) \
	VEOR KEY.B16, KEY.B16, KEY.B16

// No register may keep a round key.
#define WIPE \
	WIPE_KEY(V16); \
	WIPE_KEY(V17); \
	WIPE_KEY(V18); \
	WIPE_KEY(V19); \
	WIPE_KEY(V20); \
	WIPE_KEY(V21); \
	WIPE_KEY(V22); \
	WIPE_KEY(V23); \
	WIPE_KEY(V24); \
	WIPE_KEY(V25); \
	WIPE_KEY(V26); \
	WIPE_KEY(V27); \
	WIPE_KEY(V28); \
	WIPE_KEY(V29); \
	WIPE_KEY(V30)

// func encryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·encryptAES(SB), NOSPLIT, $128-48
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD first+24(FP), R3
	MOVD sectors+32(FP), R4
	MOVD sectorSize+40(FP), R5
	MOVD $next-128(SP), R11
	CRYPT(AESE, AESMC)
	RET

// func decryptAES(s *schedule, dst, src *byte, first *tweaks, sectors, sectorSize int)
TEXT ·decryptAES(SB), NOSPLIT, $128-48
	MOVD s+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD src+16(FP), R2
	MOVD first+24(FP), R3
	MOVD sectors+32(FP), R4
	MOVD sectorSize+40(FP), R5
	MOVD $next-128(SP), R11
	CRYPT(AESD, AESIMC)
	RET

// func encryptBlocksAES(s *schedule, blocks *tweaks, n int)
//
// 8 blocks at a time.
TEXT ·encryptBlocksAES(SB), NOSPLIT, $0-24
	MOVD s+0(FP), R0
	MOVD blocks+8(FP), R1
	MOVD n+16(FP), R4
	KEYS

loop:
	MOVD   R1, R2
	VLD1.P 64(R2), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1   (R2), [V4.B16, V5.B16, V6.B16, V7.B16]
	ROUNDS(AESE, AESMC, NOTHING)
	XOR_LAST_KEY
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R1)
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R1)
	SUBS   $8, R4, R4
	BGT    loop
	WIPE
	RET
