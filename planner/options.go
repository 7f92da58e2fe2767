package planner

import (
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// Empty says what to do with a disk that has, or lacks, a partition table.
type Empty string

// The values of --empty, as in systemd-repart.
const (
	EmptyRefuse  Empty = "refuse"  // a GPT must be there (the default)
	EmptyAllow   Empty = "allow"   // make one where there is nothing
	EmptyRequire Empty = "require" // there must be nothing
	EmptyForce   Empty = "force"   // replace whatever is there
	EmptyCreate  Empty = "create"  // the image file is new
)

// Options is what the command line adds to the definitions.
type Options struct {
	Seed         uuid.UUID
	Empty        Empty
	Size         disk.Bytes // of the disk after apply; 0: as it is
	GrainSize    disk.Bytes // 0: 4096
	Discard      bool
	FactoryReset bool
	// Split is set where rows are to say which file takes a partition's content.
	Split bool
	// SectorSize is that of an image that does not exist yet (MinimalSize); 0: 512.
	SectorSize disk.Bytes
	// FilesystemSectorSize is the sector size that new file systems are made for;
	// 0: the disk's. Larger ones let an image be written to disks of either kind.
	FilesystemSectorSize disk.Bytes
	// SourceSizes says how large the sources of copy_blocks are, by their path.
	SourceSizes map[string]disk.Bytes
	// FileRoom says how large a new file system must be for its copy_files, by the name of the
	// definition; only where the size of the disk goes by it.
	FileRoom map[string]disk.Bytes
	// Headers says what the files hold that definitions name in header_room =
	// "detached:PATH", by that path. One that does not exist is not in it.
	Headers map[string]disk.Content
	// Trailing says what was found behind the file systems that are to be converted, by the
	// number of their partitions; only where there is something.
	Trailing map[int]disk.Trailing
	// Leftovers says what becomes of free space in which something lies.
	Leftovers plan.Leftovers
	// Policies says which files "auto" stands for in tpm2 keys; nil where nobody knows.
	Policies *Policies
	// LeaveUnmounted is set where the kernel of this machine is not to mount file systems of
	// the disk: it is an image file, which may be anybody's.
	LeaveUnmounted bool
	// Absent lists keys of definitions that are not on this machine, or not to be had in
	// this run. It only counts for volumes that have another key already.
	Absent []definitions.Key
	// Distrusted lists tokens in the headers of volumes, by the partition's number and the
	// token's id, that were found not to be the volume's own. They count as not there.
	Distrusted map[int][]int
	// Boot is set where nobody is there who has seen to it that the right token is in: then
	// no pkcs11 key is enrolled by its label alone.
	Boot bool
}
