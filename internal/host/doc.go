// Package host describes the machine that sealpart runs on, as values (Facts), and
// gathers them. The planner reads the values only.
//
// What belongs to the running kernel (boot id, host name, release, TPM, programs)
// is always this machine's. What belongs to an operating system (machine id,
// os-release) is read from the tree that the definitions come from, which --root
// moves; symbolic links there cannot lead out of it.
//
// RootDisk answers one more question: which disk is meant where none is named. It
// follows the mount table and /sys from the root file system down to a whole disk.
//
// Nothing here starts a program, and what is missing is left empty, never guessed.
package host
