// Package executor applies a plan to a disk.
//
// It reads the plan and the disk, and nothing else decides what it does. The work
// falls into four parts, in this order:
//
//  1. keys: for every volume that is to be encrypted, a volume key is made, sealed
//     by each key of the plan, unsealed again and compared. All in memory: where a
//     key is not to be had, the disk stays as it was.
//  2. prepare: new partitions are written into unallocated space. A power cut
//     leaves the old disk.
//  3. publish: one ordered write of the partition table. It makes everything that
//     was prepared real, and is the commit point of growth.
//  4. convert: partitions that hold data, hot zone by hot zone. Each commit point
//     is a LUKS2 header write.
//
// A conversion (conversion.go) is one loop of hot zones. Where the bytes of a zone
// come from and go to, and how a half written one is told, is its way:
//
//   - shift.go: plain data moves up to make room for the header; the source of a
//     zone is its own record. init.go is about the moment in which the header takes
//     the place of the file system's first bytes.
//   - inplace.go: no byte moves. The header is in free space before the partition
//     (gap.go: it is prepared, and published with the partition's new start), in a
//     file (detached.go), or there already, and the data gets another volume key
//     (rekey.go). A journal or checksums in the header's own space tell what of a
//     zone is new; resilience.go decides which.
//
// resume.go goes on with conversions of either kind, also those that cryptsetup
// began; finish.go ends them.
//
// There is no state file. After an interruption the road is the same again: probe,
// plan, apply; the LUKS2 re-encryption metadata on the disk says how far it was.
package executor
