// Package bench measures the whole of sealpart beside the programs that do the
// same work: cryptsetup, veritysetup, systemd-repart, openssl. `make bench` prints
// the table; an ordinary `go test` runs the same rows once over little data, to see
// that they run, and that the CPU's fast path is taken.
//
// Ours and the peer's runs alternate, so that whatever else the machine does falls
// on both, and what counts is the ratio within a pair. The table has the median of
// the ratios, the least and the greatest, and the same of processor time, which
// tells something even where the machine is busy. Both sides get files in the same
// state, made anew before each run and outside its time.
//
// A figure that is not reached does not fail; a program that does not do its work
// does.
package bench
