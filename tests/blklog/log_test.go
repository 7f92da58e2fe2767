// Package blklog records what the built program writes and flushes, as a disk would
// see it, and cuts the power in between. Nothing of the program knows about it: it
// works on a file of FUSE, behind which qemu-storage-daemon writes a log.
package blklog

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// The format of the log is that of the kernel's dm-log-writes (log-writes.rst): a
// superblock, then an entry of one sector before the data of each operation.
const (
	magic    = 0x6a736677736872
	sector   = 512
	flush    = 1
	fua      = 2
	discard  = 4
	maxWrite = 64 << 20
)

// replay does the operations of a log to a simulated disk, which then shows every
// state that a power cut could have left.
func replay(log io.ReaderAt, dev *simdev.Device) error {
	var super [sector]byte
	if _, err := log.ReadAt(super[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint64(super[:]) != magic || le.Uint64(super[8:]) != 1 || le.Uint32(super[24:]) != sector {
		return fmt.Errorf("not a log with sectors of %d bytes", sector)
	}
	at := int64(sector)
	for i := range le.Uint64(super[16:]) {
		var entry [sector]byte
		if _, err := log.ReadAt(entry[:], at); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		n, err := replayOne(io.NewSectionReader(log, at+sector, maxWrite), entry[:], dev)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		at += sector + n
	}
	return nil
}

// replayOne does one operation and returns how much data it had in the log. Flushes
// have none, and of a discard only the place is there.
func replayOne(data io.Reader, entry []byte, dev *simdev.Device) (int64, error) {
	le := binary.LittleEndian
	offset, count, flags := int64(le.Uint64(entry))*sector, int64(le.Uint64(entry[8:]))*sector, le.Uint64(entry[16:])
	if count < 0 || count > maxWrite || flags&^(flush|fua|discard) != 0 {
		return 0, fmt.Errorf("an operation of %d bytes with flags %#x", count, flags)
	}
	if flags&flush != 0 {
		if err := dev.Sync(); err != nil {
			return 0, err
		}
	}
	if count == 0 {
		return 0, nil
	}
	content := make([]byte, count) // a discard reads as zero afterwards
	length := int64(0)
	if flags&discard == 0 {
		length = count
		if _, err := io.ReadFull(data, content); err != nil {
			return 0, err
		}
	}
	if _, err := dev.WriteAt(content, offset); err != nil {
		return 0, err
	}
	if flags&fua != 0 {
		return length, dev.Sync()
	}
	return length, nil
}
