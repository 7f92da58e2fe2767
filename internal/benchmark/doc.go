// Package benchmark measures what this machine can do with the ciphers, key
// derivations and hashes that a run spends its time on, as `cryptsetup benchmark`
// does.
//
// Rates count processor time, not time on the clock: on a machine that does
// something else besides, they stay what one core can do.
package benchmark
