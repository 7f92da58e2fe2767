// Package probe looks at a disk and says what is there, as a disk.Snapshot. It
// only reads.
//
// A partition's content is found by its superblock, the way blkid finds it, and
// named by blkid's names; blkid is the judge of the tests. Unlike blkid's, the
// verdict is made for a program that is about to write: a superblock that is there
// but damaged is not "nothing", it is reported with its Problem, and a second
// signature beside the first is listed as Ambiguous.
//
// The search has three steps. Containers first (RAID members, LVM, LUKS, verity):
// what lies inside one is not ours to read, so the first one found ends the
// search. Then every file system is asked. A partition table comes last.
//
// Nothing read from the disk is trusted: reads are at most 128 KiB long (4 MiB for
// a LUKS2 header), loops are counted, and a field that points outside the device
// points at nothing.
package probe
