package extfs

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Rigid says what about the file system keeps resize2fs from making it smaller, whatever is in
// it; "" where nothing does.
func (s *Superblock) Rigid() string {
	switch {
	case s.roCompat&roCompatBigalloc != 0:
		return "its blocks are allocated in clusters (bigalloc)"
	case s.compat&compatStableInodes != 0:
		return "its inodes must keep their numbers (stable_inodes)"
	case s.compat&compatHasJournal != 0 && s.journalInode == 0:
		return "its journal is on another device"
	case s.incompat&incompatMMP != 0:
		return "it has multiple mount protection (mmp), which takes a checker for another machine"
	}
	return ""
}

// What a block of multiple mount protection begins with, and its sequence number where nobody
// has the file system (Documentation/filesystems/ext4/mmp.rst, struct mmp_struct).
const (
	mmpMagic = 0x004D4D50
	mmpClean = 0xFF4D4D50
)

// User returns who has the file system mounted or checks it, on whatever machine, as its
// multiple mount protection in r says: also after a crash. It is "" where nobody has, or
// where the file system has no such protection.
func (s *Superblock) User(r io.ReaderAt) string {
	if s.incompat&incompatMMP == 0 {
		return ""
	}
	block := make([]byte, 128)
	if s.mmpBlock <= 0 || s.mmpBlock >= s.Blocks {
		return "somebody: its MMP block is not in it"
	}
	if n, _ := r.ReadAt(block, s.mmpBlock*int64(s.BlockSize)); n < len(block) || binary.LittleEndian.Uint32(block) != mmpMagic {
		return "somebody: its MMP block cannot be read"
	}
	if binary.LittleEndian.Uint32(block[4:]) == mmpClean {
		return ""
	}
	return fmt.Sprintf("the machine %q", untilNUL(block[16:80]))
}
