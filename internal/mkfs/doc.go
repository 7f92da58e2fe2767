// Package mkfs makes file systems, and checks and resizes ext ones, by starting the
// programs that their authors maintain: the one room that starts other programs.
//
// Everything works without root, loop devices and device-mapper. A new file system
// is made in a file of its own. An ext file system that is already there is worked
// on where it lies, inside a disk image or on a disk, as a Window: the e2fsprogs get an
// overlay of it in memory and nothing else (overlay.go, supervisor.go), so that nothing
// they do can reach what lies before or behind it, the rest of the disk may be in use, and
// resize2fs, which cuts a regular file off at the new size of the file system, cuts off
// only that. Each call first reads the superblock and refuses a file system that reaches
// out of its window. What they changed is then written by this package (mend.go, commit.go).
//
// A shrink is made in memory first, over the file system as it is, and then committed
// like a transaction (redo.go, mark.go, commit.go): resize2fs
// that a power cut ends can cost names of files, whatever is run after it.
//
// The same Filesystem gives the same bytes on every run where Epoch is set: the
// UUID, and all that is derived from it, comes from the caller, and files go in in
// the order of their names.
//
// Programs get a fixed environment (paths, C locale, UTC), no input, and a process
// group of their own, so that Ctrl-C on the terminal does not cut a resize in half.
// What they say goes into the error where they fail, never more than its last few
// lines. No secret comes through here.
package mkfs
