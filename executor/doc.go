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
// There is no state file. After an interruption the road is the same again: probe,
// plan, apply; the LUKS2 re-encryption metadata on the disk says how far it was.
package executor
