// Package gpt reads and writes GUID partition tables (UEFI 2.10, section 5.3).
//
// A GPT stands on the disk twice: a header in sector 1 with an array of entries,
// usually from sector 2, and the same again at the end of the disk, array first.
// Each header carries a checksum of itself and of its array, so a reader can tell a
// whole copy from a torn one. Sector 0 holds a protective MBR, which keeps programs
// that know no GPT away.
//
// Read looks at both copies, distrusting every number in them, and takes the
// primary where it is whole. What it worked around it says in State.Warnings; the
// next write repairs all of that. Writes compares the table that is wanted with
// the bytes that are there and returns what to write, in an order in which a power
// cut at any point leaves one whole copy: the old table or the new one. Apply does
// it, and TellKernel makes the kernel's partitions follow.
//
// Partitions that nobody asked to change keep their bytes: attributes nobody
// knows, what stands behind a name's end, residue in unused slots, boot code in
// sector 0, an array that is not at sector 2.
//
// go-diskfs is the model of the entries and their serialiser (model.go). It sees
// a small image in memory only, of which we take the array; headers, places,
// checksums and the order of writes are ours.
package gpt
