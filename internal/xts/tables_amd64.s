//go:build !purego

#include "textflag.h"

// The reduction polynomial of IEEE 1619 without its x^128, in each block.
DATA ·polynomial+0x00(SB)/8, $0x87
DATA ·polynomial+0x08(SB)/8, $0
DATA ·polynomial+0x10(SB)/8, $0x87
DATA ·polynomial+0x18(SB)/8, $0
DATA ·polynomial+0x20(SB)/8, $0x87
DATA ·polynomial+0x28(SB)/8, $0
DATA ·polynomial+0x30(SB)/8, $0x87
DATA ·polynomial+0x38(SB)/8, $0
GLOBL ·polynomial(SB), RODATA|NOPTR, $64

// By how many bits the first eight tweaks of a sector are shifted up, both halves
// of a block alike.
DATA ·shiftUp+0x00(SB)/8, $0
DATA ·shiftUp+0x08(SB)/8, $0
DATA ·shiftUp+0x10(SB)/8, $1
DATA ·shiftUp+0x18(SB)/8, $1
DATA ·shiftUp+0x20(SB)/8, $2
DATA ·shiftUp+0x28(SB)/8, $2
DATA ·shiftUp+0x30(SB)/8, $3
DATA ·shiftUp+0x38(SB)/8, $3
DATA ·shiftUp+0x40(SB)/8, $4
DATA ·shiftUp+0x48(SB)/8, $4
DATA ·shiftUp+0x50(SB)/8, $5
DATA ·shiftUp+0x58(SB)/8, $5
DATA ·shiftUp+0x60(SB)/8, $6
DATA ·shiftUp+0x68(SB)/8, $6
DATA ·shiftUp+0x70(SB)/8, $7
DATA ·shiftUp+0x78(SB)/8, $7
GLOBL ·shiftUp(SB), RODATA|NOPTR, $128

// By how many bits they are shifted down to have what leaves a half: 64 less the
// above. A shift by 64 leaves zero.
DATA ·shiftDown+0x00(SB)/8, $64
DATA ·shiftDown+0x08(SB)/8, $64
DATA ·shiftDown+0x10(SB)/8, $63
DATA ·shiftDown+0x18(SB)/8, $63
DATA ·shiftDown+0x20(SB)/8, $62
DATA ·shiftDown+0x28(SB)/8, $62
DATA ·shiftDown+0x30(SB)/8, $61
DATA ·shiftDown+0x38(SB)/8, $61
DATA ·shiftDown+0x40(SB)/8, $60
DATA ·shiftDown+0x48(SB)/8, $60
DATA ·shiftDown+0x50(SB)/8, $59
DATA ·shiftDown+0x58(SB)/8, $59
DATA ·shiftDown+0x60(SB)/8, $58
DATA ·shiftDown+0x68(SB)/8, $58
DATA ·shiftDown+0x70(SB)/8, $57
DATA ·shiftDown+0x78(SB)/8, $57
GLOBL ·shiftDown(SB), RODATA|NOPTR, $128
