package mkfs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// tally is what copied files take of a file system.
type tally struct {
	sizes   []disk.Bytes // of files, and of links that take a block
	entries int          // files, directories and links
	names   disk.Bytes   // length of their names
	folders int
	stored  disk.Bytes // what of the sizes is no hole
	slots   int        // that the names in the root directory take in a FAT
}

// Room returns how large a file system must be to hold its CopyFiles, as an estimate that
// is rather too large; 0 where it has none. It fails where a source cannot be read.
func Room(f Filesystem) (disk.Bytes, error) {
	if len(f.CopyFiles) == 0 {
		return 0, nil
	}
	t, err := count(f.CopyFiles, f.Format == "vfat")
	if err != nil {
		return 0, err
	}
	need := t.inExt
	if f.Format == "vfat" {
		need = func(size disk.Bytes) disk.Bytes { return t.inFAT(size, max(f.SectorSize, 512)) }
	}
	size := disk.Bytes(0)
	for need(size) > size { // what the file system itself takes goes up with its size
		size = need(size)
	}
	return size.RoundUp(disk.MiB), nil
}

// Stored returns how many bytes files take wherever they are copied to, at least.
func Stored(copies []Copy) (disk.Bytes, error) {
	t, err := count(copies, false)
	if err != nil {
		return 0, err
	}
	return t.stored, nil
}

// count looks at all sources. Whether links are followed depends on the format.
func count(copies []Copy, follow bool) (*tally, error) {
	t, seen := &tally{}, map[inode]bool{}
	for _, c := range copies {
		err := c.walk(func(e entry) error { return t.add(c, e, follow, seen) })
		if err != nil {
			return nil, fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
	}
	return t, nil
}

// fastLink is the length up to which ext4 keeps a symbolic link in its inode.
const fastLink = 59

// add counts one entry; a file with several names is one file.
func (t *tally) add(c Copy, e entry, follow bool, seen map[inode]bool) error {
	info := e.info
	if follow && info.Mode().Type() == fs.ModeSymlink {
		file, err := c.tree().Open(e.at, os.O_RDONLY|unix.O_NONBLOCK)
		if err != nil {
			return err
		}
		defer file.Close()
		if info, err = file.Stat(); err != nil {
			return err
		}
	}
	t.entries++
	name := path.Base(e.target)
	t.names += disk.Bytes(len(name))
	if path.Dir(e.target) == "/" {
		t.slots += fatSlots(len(name), 1)
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case info.IsDir():
		t.folders++
	case !follow && stat != nil && stat.Nlink > 1 && seen[inode{uint64(stat.Dev), stat.Ino}]:
	case info.Mode().IsRegular(), info.Mode().Type() == fs.ModeSymlink && info.Size() > fastLink:
		t.sizes = append(t.sizes, disk.Bytes(info.Size()))
		if stat != nil {
			t.stored += min(disk.Bytes(info.Size()), disk.Bytes(stat.Blocks)*512)
		}
	}
	if stat != nil {
		seen[inode{uint64(stat.Dev), stat.Ino}] = true
	}
	return nil
}

// in returns what the files take in units of the file system.
func (t *tally) in(unit disk.Bytes) (sum disk.Bytes) {
	for _, size := range t.sizes {
		sum += size.RoundUp(unit)
	}
	return sum
}

// What an ext4 is made with: see makeExt, and mke2fs.conf(5) for the bytes an inode.
const (
	extBlock      = 4096
	extInode      = 256
	extSmall      = 512 * disk.MiB
	extGroup      = 128 * disk.MiB
	extReserved   = 4 * disk.MiB // for group descriptors to come, in each group with a copy of the superblock
	extEntry      = 12           // of a directory, beside the name, rounded up
	extFirstInode = 11
)

// defaultInodes returns how many inodes mke2fs gives a file system of a size by itself, at
// least.
func defaultInodes(size disk.Bytes) int {
	if size < extSmall {
		return int(size / 4096)
	}
	return int(size / 16384)
}

// inodes returns how many inodes the files take, with some to spare.
func (t *tally) inodes() int { return extFirstInode + t.entries + t.entries/16 + 64 }

// inExt returns the size of an ext4 with the metadata of one of a size, and the files.
func (t *tally) inExt(size disk.Bytes) disk.Bytes {
	inodes := disk.Bytes(max(t.inodes(), defaultInodes(size)))
	groups := size/extGroup + 1
	copies := disk.Bytes(2) // in groups 0 and 1, and in the powers of 3, 5 and 7
	for _, base := range []disk.Bytes{3, 5, 7} {
		for g := base; g < groups; g *= base {
			copies++
		}
	}
	// Half of a directory's blocks may be empty, and each has one at least.
	folders := 2*(t.names+disk.Bytes(t.entries)*extEntry) + disk.Bytes(t.folders+2)*extBlock
	data := t.in(extBlock) + folders
	meta := inodes*extInode + extJournal(size) + groups*8*extBlock + copies*min(extReserved, size/64)
	// No group has more inodes than blocks; a fiftieth is for trees of extents and large
	// attributes, and for the owner to begin with.
	return max(data+data/50+meta+disk.MiB, inodes*extBlock)
}

// extJournal returns how large a journal mke2fs makes.
func extJournal(size disk.Bytes) disk.Bytes {
	for _, step := range []struct{ below, journal disk.Bytes }{
		{8 * disk.MiB, 0},
		{128 * disk.MiB, 4 * disk.MiB},
		{disk.GiB, 16 * disk.MiB},
		{2 * disk.GiB, 32 * disk.MiB},
		{16 * disk.GiB, 64 * disk.MiB},
		{32 * disk.GiB, 128 * disk.MiB},
		{64 * disk.GiB, 256 * disk.MiB},
	} {
		if size < step.below {
			return step.journal
		}
	}
	return disk.GiB
}

// fatRoot is how many slots the root directory of a FAT has that is no FAT32, at least.
const fatRoot = 512

// fatSlots returns how many slots of 32 bytes names take in a directory: one each, and one more
// for each 13 letters.
func fatSlots(letters, names int) int { return letters/13 + 2*names }

// inFAT returns the size of a FAT with clusters as one of a size has, and the files.
func (t *tally) inFAT(size, sector disk.Bytes) disk.Bytes {
	cluster := fatCluster(size, sector)
	folders := disk.Bytes(fatSlots(int(t.names), t.entries))*32 + disk.Bytes(2*t.folders+2)*cluster
	data := t.in(cluster) + folders.RoundUp(cluster)
	tables := 2 * 4 * (data/cluster + 2)
	need := data + data/50 + tables.RoundUp(sector) + 128*sector
	if t.slots >= fatRoot-2 { // it has its label there, too
		need = max(need, minFAT32(sector))
	}
	return need
}

// fatCluster returns what clusters mkfs.vfat makes, or larger ones.
func fatCluster(size, sector disk.Bytes) disk.Bytes {
	switch {
	case sector == 4096 && size >= minFAT32(sector):
		return sector
	case size < minFAT32(sector):
		return max(8*disk.KiB, sector)
	case size <= 260*disk.MiB:
		return sector
	case size <= 8*disk.GiB:
		return max(4*disk.KiB, sector)
	case size <= 16*disk.GiB:
		return 8 * disk.KiB
	case size <= 32*disk.GiB:
		return 16 * disk.KiB
	}
	return 32 * disk.KiB
}
