// Package sha256x computes the SHA-256 (FIPS 180-4) of many blocks of equal size
// behind the same salt, as a hash tree needs them: several messages at a time on
// one core.
//
// One message alone leaves most of a CPU idle, because each round needs the one
// before it. Messages do not need each other: the SHA instructions are busy all the
// time with two, and AVX-512 computes sixteen, one in each lane.
//
// The salt's whole chunks of 64 bytes are hashed once, for all. The chunks that a
// block has for itself are hashed where they are; only the two at its ends, which
// it shares with the salt and with the padding, are copied together.
//
// A group of messages that is not whole goes to the next implementation of the
// list, the last to crypto/sha256, which is also all there is without assembly.
// Build with the tag purego for that.
package sha256x
