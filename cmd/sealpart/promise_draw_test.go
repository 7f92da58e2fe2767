package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/key"
)

// promiseTypes are the types of partitions, each once on a disk but the last.
var promiseTypes = []string{"root", "home", "srv", "var", "swap", "esp", "usr", "linux-generic"}

// kind is what blkid would call it, as far as a conversion goes.
func (c promiseContent) kind() string {
	kind, _, _ := strings.Cut(c.name, " ")
	if c.luks {
		return "crypto_LUKS"
	}
	if kind == "zero" || kind == "garbage" || kind == "LUKS1" {
		return ""
	}
	return kind
}

// draw draws a disk, definitions and flags.
func (w *promiseWorld) draw() error {
	rng := w.rng
	if err := errors.Join(os.RemoveAll(w.out), os.Mkdir(w.out, 0o755)); err != nil {
		return err
	}
	sector := disk.Bytes(oneOf(rng, 512, 512, 512, 4096))
	w.drawFlags(sector)
	size := disk.Bytes(16+rng.IntN(48))*disk.MiB + disk.Bytes(rng.IntN(3)*rng.IntN(9))*sector
	fmt.Fprintf(w.story, "disk of %d bytes, sectors of %d, %+v, fstab %q, key file %q, chips: %v\n",
		size, sector, w.flags.planFlags, w.flags.fstab, w.flags.keyFile, w.chips)
	if err := errors.Join(os.WriteFile(w.image, nil, 0o600), os.Truncate(w.image, int64(size))); err != nil {
		return err
	}
	entries, there, err := w.drawPartitions(size, sector)
	if err != nil {
		return err
	}
	kind := oneOf(rng, "gpt", "gpt", "gpt", "gpt", "gpt", "mbr", "none")
	if kind == "none" && rng.IntN(8) > 0 {
		w.flags.empty, there = oneOf(rng, "allow", "force"), nil
		_ = errors.Join(os.Truncate(w.image, 0), os.Truncate(w.image, int64(size)))
	}
	fmt.Fprintf(w.story, "table: %s\n", kind)
	switch kind {
	case "gpt":
		err = w.writeGPT(entries, size, sector)
	case "mbr":
		err = w.writeMBR(entries, sector)
	}
	if err != nil {
		return err
	}
	w.there, w.mbr = there, kind == "mbr"
	return w.drawDefinitions(there, w.mbr)
}

// drawFlags draws how the command is called, and on what machine.
func (w *promiseWorld) drawFlags(sector disk.Bytes) {
	rng := w.rng
	w.chips = nil
	for _, kind := range promiseKinds {
		kind.err = oneOf(rng, nil, nil, nil, nil, errPromise, key.Absent(errPromise))
		w.chips = append(w.chips, kind)
	}
	w.flags = applyFlags{planFlags: planFlags{
		definitions: []string{filepath.Join(w.dir, "defs")}, seed: "750b6cd5-c4ae-4012-a15e-7be3c29e6a47", discard: rng.IntN(2) == 0,
		empty: oneOf(rng, "refuse", "refuse", "refuse", "refuse", "refuse", "refuse", "allow", "allow", "require", "force"), factoryReset: rng.IntN(8) == 0, boot: rng.IntN(4) > 0, leftovers: oneOf(rng, "keep", "discard", "discard"),
		split: rng.IntN(12) == 0,
	}}
	w.flags.tpm2, w.flags.unseen = "auto", true
	w.flags.keys = &w.flags.keyFlags
	if sector == 4096 {
		w.flags.sectorSize = 4096
	}
	if rng.IntN(8) == 0 {
		w.flags.size = oneOf(rng, "20M", "40M", "48M", "auto")
	}
	if rng.IntN(6) == 0 {
		w.flags.fstab = filepath.Join(w.out, "fstab")
		w.flags.made = w.flags.fstab
	}
	if rng.IntN(10) == 0 {
		w.flags.keyFile = filepath.Join(w.dir, oneOf(rng, "key0", "key1", "vendor", "nosuch"))
	}
}

// promisePart is a partition that is there.
type promisePart struct {
	typ string
	promiseContent
	entry disk.Entry // of one that is there
}

// drawPartitions lays partitions out, and fills them.
func (w *promiseWorld) drawPartitions(size, sector disk.Bytes) (entries []disk.Entry, there []promisePart, err error) {
	file, err := os.OpenFile(w.image, os.O_WRONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	rng, at := w.rng, disk.MiB
	for range rng.IntN(oneOf(rng, 4, 4, 4, 8)) {
		c := oneOf(rng, w.contents...)
		name := promiseTypes[(rng.IntN(2)+2*len(entries))%len(promiseTypes)]
		at += oneOf(rng, 0, 0, sector, disk.MiB, 3*disk.MiB)
		length := (c.size + oneOf(rng, 0, 0, sector, 7*sector, 2*disk.MiB, 4*disk.MiB+sector)).RoundUp(sector)
		if at+length > size-disk.MiB {
			break
		}
		if _, err := file.WriteAt(c.bytes, int64(at)); err != nil {
			return nil, nil, err
		}
		t, _ := disk.TypeByName(name, "x86-64")
		e := disk.Entry{Number: len(entries) + 1, Type: t.UUID, Name: oneOf(rng, name, "", "b-"+name), Extent: disk.Extent{Offset: at, Size: length},
			UUID: uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, rng.Uint64()))}
		fmt.Fprintf(w.story, "partition %d: %s %q at %d, %d bytes, %s\n", e.Number, name, e.Name, at, length, c.name)
		entries, there, at = append(entries, e), append(there, promisePart{name, c, e}), e.End().RoundUp(oneOf(rng, sector, disk.MiB))
	}
	return entries, there, nil
}

// writeGPT writes a table, which may be a small one, full, damaged, or of a disk that has grown.
func (w *promiseWorld) writeGPT(entries []disk.Entry, size, sector disk.Bytes) error {
	dev, err := blockdev.Open(w.image, blockdev.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer dev.Close()
	state, err := gpt.New(size, sector, uuid.NewSHA1(uuid.NameSpaceURL, []byte("disk")))
	if err != nil {
		return err
	}
	writes, err := state.Writes(state.Table, entries, size)
	if err != nil {
		return err
	}
	if err := state.Apply(dev, writes); err != nil {
		return err
	}
	copies := []disk.Bytes{sector, size.RoundDown(sector) - sector}
	switch rng := w.rng; rng.IntN(16) {
	case 0, 1:
		count := max(oneOf(rng, 4, 8), len(entries))
		fmt.Fprintf(w.story, "a table of %d entries\n", count)
		return errors.Join(fewSlots(dev, copies[0], sector, count), fewSlots(dev, copies[1], sector, count))
	case 2:
		at := oneOf(rng, copies...)
		fmt.Fprintf(w.story, "the header at %d is damaged\n", at)
		_, err = dev.WriteAt(make([]byte, 8), int64(at))
	case 3:
		fmt.Fprintf(w.story, "the disk has grown\n")
		err = dev.Grow(size + 2*disk.MiB)
	}
	return err
}

// fewSlots makes the copy of a table whose header is at a byte one of so many entries.
func fewSlots(dev *blockdev.File, at, sector disk.Bytes, count int) error {
	h := make([]byte, sector)
	if _, err := dev.ReadAt(h, int64(at)); err != nil {
		return err
	}
	array := make([]byte, 128*count)
	if _, err := dev.ReadAt(array, int64(binary.LittleEndian.Uint64(h[72:]))*int64(sector)); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(h[80:], uint32(count))
	binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(array))
	binary.LittleEndian.PutUint32(h[16:], 0)
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	_, err := dev.WriteAt(h, int64(at))
	return err
}

// writeMBR writes a table of primary partitions.
func (w *promiseWorld) writeMBR(entries []disk.Entry, sector disk.Bytes) error {
	file, err := os.OpenFile(w.image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	mbr := make([]byte, 512)
	for i, e := range entries[:min(4, len(entries))] {
		slot := mbr[446+16*i:]
		slot[4] = 0x83
		binary.LittleEndian.PutUint32(slot[8:], uint32(e.Offset/sector))
		binary.LittleEndian.PutUint32(slot[12:], uint32(e.Size/sector))
	}
	mbr[510], mbr[511] = 0x55, 0xaa
	_, err = file.WriteAt(mbr, 0)
	return err
}
