package rig

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// The format of the log is that of the kernel's dm-log-writes (log-writes.rst): a
// superblock, then an entry of one sector before the data of each operation.
const (
	logMagic    = 0x6a736677736872
	logSector   = 512
	logFlush    = 1
	logFUA      = 2
	logDiscard  = 4
	logMaxWrite = 64 << 20
)

// Replay does the operations of a log that qemu's blklogwrites made to a simulated disk,
// which then shows every state that a power cut could have left.
func Replay(log io.ReaderAt, dev *simdev.Device) error {
	var super [logSector]byte
	if _, err := log.ReadAt(super[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint64(super[:]) != logMagic || le.Uint64(super[8:]) != 1 || le.Uint32(super[24:]) != logSector {
		return fmt.Errorf("not a log with sectors of %d bytes", logSector)
	}
	at := int64(logSector)
	for i := range le.Uint64(super[16:]) {
		var entry [logSector]byte
		if _, err := log.ReadAt(entry[:], at); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		n, err := replayOne(io.NewSectionReader(log, at+logSector, logMaxWrite), entry[:], dev)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		at += logSector + n
	}
	return nil
}

// replayOne does one operation and returns how much data it had in the log. Flushes
// have none, and of a discard only the place is there.
func replayOne(data io.Reader, entry []byte, dev *simdev.Device) (int64, error) {
	le := binary.LittleEndian
	offset, count, flags := int64(le.Uint64(entry))*logSector, int64(le.Uint64(entry[8:]))*logSector, le.Uint64(entry[16:])
	if count < 0 || count > logMaxWrite || flags&^(logFlush|logFUA|logDiscard) != 0 {
		return 0, fmt.Errorf("an operation of %d bytes with flags %#x", count, flags)
	}
	if flags&logFlush != 0 {
		if err := dev.Sync(); err != nil {
			return 0, err
		}
	}
	if count == 0 {
		return 0, nil
	}
	content := make([]byte, count) // a discard reads as zero afterwards
	length := int64(0)
	if flags&logDiscard == 0 {
		length = count
		if _, err := io.ReadFull(data, content); err != nil {
			return 0, err
		}
	}
	if _, err := dev.WriteAt(content, offset); err != nil {
		return 0, err
	}
	if flags&logFUA != 0 {
		return length, dev.Sync()
	}
	return length, nil
}
