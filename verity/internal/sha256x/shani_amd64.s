//go:build !purego

#include "textflag.h"

// SHA-256 of two messages at a time with the SHA instructions. One round
// instruction takes four cycles and another can begin after two: with one message
// the CPU waits half of its time.
//
//	X0         words + constants, where the instruction wants them
//	X1, X2     first message: f e b a, h g d c
//	X3-X6      its last 16 words of the message schedule
//	X7, X8     second message
//	X9-X12     its words
//	X13        scratch
//	X15        to turn big-endian words
//
//	DI states  SI, R8 the messages  CX chunks left  BX constants

DATA swap4<>+0(SB)/8, $0x0405060700010203
DATA swap4<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap4<>(SB), NOPTR|RODATA, $16

#define LOAD(P, W0, W1, W2, W3) \
	MOVOU  (P), W0;   \
	MOVOU  16(P), W1; \
	MOVOU  32(P), W2; \
	MOVOU  48(P), W3; \
	PSHUFB X15, W0;   \
	PSHUFB X15, W1;   \
	PSHUFB X15, W2;   \
	PSHUFB X15, W3

// Four rounds of one message.
#define ROUNDS4(I, ABEF, CDGH, W) \
	MOVOU       (16*I)(BX), X0; \
	PADDD       W, X0;          \
	SHA256RNDS2 X0, ABEF, CDGH; \
	PSHUFD      $0x0e, X0, X0;  \
	SHA256RNDS2 X0, CDGH, ABEF

// The four words after W3, in the place of W0, to which MSG1 has added what W1
// gives: now comes what W2 and W3 give.
#define SCHEDULE(W0, W2, W3) \
	MOVO       W3, X13;     \
	PALIGNR    $4, W2, X13; \
	PADDD      X13, W0;     \
	SHA256MSG2 W3, W0

// Rounds of both messages, without, with half and with all of the schedule.
#define PLAIN(I, V3, W3) \
	ROUNDS4(I, X1, X2, V3); \
	ROUNDS4(I, X7, X8, W3)

#define BEGIN(I, V2, V3, W2, W3) \
	PLAIN(I, V3, W3);    \
	SHA256MSG1 V3, V2;   \
	SHA256MSG1 W3, W2

#define END(I, V0, V2, V3, W0, W2, W3) \
	ROUNDS4(I, X1, X2, V3); \
	SCHEDULE(V0, V2, V3);   \
	ROUNDS4(I, X7, X8, W3); \
	SCHEDULE(W0, W2, W3)

#define WHOLE(I, V0, V2, V3, W0, W2, W3) \
	END(I, V0, V2, V3, W0, W2, W3); \
	SHA256MSG1 V3, V2;              \
	SHA256MSG1 W3, W2

#define ADD(OFFSET, HALF) \
	MOVOU OFFSET(DI), X13; \
	PADDD X13, HALF;       \
	MOVOU HALF, OFFSET(DI)

// func compressSHANI(s *states, data *byte, stride, chunks int)
TEXT ·compressSHANI(SB), NOSPLIT, $0-32
	MOVQ  s+0(FP), DI
	MOVQ  data+8(FP), SI
	MOVQ  stride+16(FP), R8
	MOVQ  chunks+24(FP), CX
	ADDQ  SI, R8
	LEAQ  ·constants(SB), BX
	MOVOU swap4<>(SB), X15
	MOVOU 0(DI), X1
	MOVOU 16(DI), X2
	MOVOU 32(DI), X7
	MOVOU 48(DI), X8

chunk:
	LOAD(SI, X3, X4, X5, X6)
	LOAD(R8, X9, X10, X11, X12)
	PLAIN(0, X3, X9)
	BEGIN(1, X3, X4, X9, X10)
	BEGIN(2, X4, X5, X10, X11)
	WHOLE(3, X3, X5, X6, X9, X11, X12)
	WHOLE(4, X4, X6, X3, X10, X12, X9)
	WHOLE(5, X5, X3, X4, X11, X9, X10)
	WHOLE(6, X6, X4, X5, X12, X10, X11)
	WHOLE(7, X3, X5, X6, X9, X11, X12)
	WHOLE(8, X4, X6, X3, X10, X12, X9)
	WHOLE(9, X5, X3, X4, X11, X9, X10)
	WHOLE(10, X6, X4, X5, X12, X10, X11)
	WHOLE(11, X3, X5, X6, X9, X11, X12)
	WHOLE(12, X4, X6, X3, X10, X12, X9)
	END(13, X5, X3, X4, X11, X9, X10)
	END(14, X6, X4, X5, X12, X10, X11)
	PLAIN(15, X6, X12)

	ADD(0, X1)
	ADD(16, X2)
	ADD(32, X7)
	ADD(48, X8)
	ADDQ $64, SI
	ADDQ $64, R8
	DECQ CX
	JNZ  chunk
	RET

// func cpuid7EBX() uint32
TEXT ·cpuid7EBX(SB), NOSPLIT, $0-4
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL BX, ret+0(FP)
	RET

none:
	MOVL $0, ret+0(FP)
	RET
