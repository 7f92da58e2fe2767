package probe

import (
	"encoding/binary"

	"github.com/sealpart/sealpart/disk"
)

// fat is the BIOS parameter block of a FAT file system (Microsoft, FAT: General
// Overview of On-Disk Format), sizes in sectors unless said otherwise.
type fat struct {
	boot        []byte
	sectorSize  int64 // bytes
	clusterSize int64
	reserved    int64
	sectors     int64
	fatLength   int64
	fats        int64
	rootEntries int64 // 0 in FAT32, whose root directory is a chain of clusters
	fat32       bool
}

// findFAT finds FAT12, FAT16 and FAT32.
func findFAT(m *image) (disk.Content, bool) {
	boot := m.at(0, 512)
	if boot == nil {
		return disk.Content{}, false
	}
	f := parseFAT(boot)
	if !f.named() || !f.valid() {
		return disk.Content{}, false
	}
	c := disk.Content{
		Kind: "vfat", Version: f.version(), Label: f.label(m),
		Size: disk.Bytes(f.sectors * f.sectorSize), BlockSize: disk.Bytes(f.sectorSize),
	}
	serial, state := boot[39:43], boot[37]
	if f.fat32 {
		serial, state = boot[67:71], boot[65]
	}
	c.UUID, c.Unclean = shortSerial(serial), state&1 != 0
	return c, true
}

func parseFAT(boot []byte) fat {
	le := binary.LittleEndian
	f := fat{
		boot: boot, sectorSize: int64(le.Uint16(boot[11:])), clusterSize: int64(boot[13]),
		reserved: int64(le.Uint16(boot[14:])), fats: int64(boot[16]), rootEntries: int64(le.Uint16(boot[17:])),
		sectors: int64(le.Uint16(boot[19:])), fatLength: int64(le.Uint16(boot[22:])),
	}
	if f.sectors == 0 {
		f.sectors = int64(le.Uint32(boot[32:]))
	}
	if f.fatLength == 0 {
		f.fat32, f.fatLength = true, int64(le.Uint32(boot[36:]))
	}
	return f
}

// named reports whether the boot sector says FAT somewhere; those of DOS 3 say it
// only by their jump and their last two bytes.
func (f fat) named() bool {
	for _, name := range []string{"FAT12   ", "FAT16   ", "FAT     ", "MSDOS"} {
		if string(f.boot[54:54+len(name)]) == name {
			return true
		}
	}
	if old := string(f.boot[82:90]); old == "FAT32   " || old[:5] == "MSWIN" {
		return true
	}
	other := string(f.boot[54:62]) // OS/2 put such a sector before these
	return (f.boot[0] == 0xEB || f.boot[0] == 0xE9) && string(f.boot[510:]) == "\x55\xAA" && other != "JFS     " && other != "HPFS    "
}

// valid reports whether the numbers can be those of a FAT, as the kernel checks them.
func (f fat) valid() bool {
	media := f.boot[21]
	switch {
	case f.fats == 0 || f.reserved == 0 || f.fatLength == 0 || media < 0xF8 && media != 0xF0:
		return false
	case f.clusterSize == 0 || f.clusterSize&(f.clusterSize-1) != 0:
		return false
	case f.sectorSize < 512 || f.sectorSize > 4096 || f.sectorSize&(f.sectorSize-1) != 0:
		return false
	}
	clusters, most := f.clusters(), int64(0xFFF4)
	if f.fat32 {
		most = 0x0FFFFFF6
	}
	return clusters >= 0 && clusters <= most
}

// rootAt returns where the data, and in FAT12 and FAT16 before them the root
// directory, begins.
func (f fat) rootAt() int64 { return f.reserved + f.fats*f.fatLength }

// rootSize returns the length of the fixed root directory.
func (f fat) rootSize() int64 { return (f.rootEntries*32 + f.sectorSize - 1) / f.sectorSize }

func (f fat) clusters() int64 {
	data := f.sectors - f.rootAt() - f.rootSize()
	if data < 0 {
		return -1
	}
	return data / f.clusterSize
}

func (f fat) version() string {
	switch {
	case f.fat32:
		return "FAT32"
	case f.clusters() < 0xFF5:
		return "FAT12"
	}
	return "FAT16"
}

// label looks for the volume label in the root directory. The copy in the boot
// sector is not kept up to date by anybody.
func (f fat) label(m *image) string {
	if !f.fat32 {
		name, _ := fatLabel(m.at(f.rootAt()*f.sectorSize, min(f.rootEntries*32, maxRead)))
		return name
	}
	cluster := int64(binary.LittleEndian.Uint32(f.boot[44:]))
	for range 64 { // clusters; a chain may be a loop
		if cluster < 2 || cluster >= f.clusters()+2 {
			break
		}
		at := f.rootAt() + (cluster-2)*f.clusterSize
		name, done := fatLabel(m.at(at*f.sectorSize, min(f.clusterSize*f.sectorSize, maxRead)))
		next := m.at(f.reserved*f.sectorSize+cluster*4, 4)
		if done || next == nil {
			return name
		}
		cluster = int64(binary.LittleEndian.Uint32(next) & 0x0FFFFFFF)
	}
	return ""
}

// fatLabel looks through directory entries. Done is set at a label or at the end
// of the directory.
func fatLabel(entries []byte) (name string, done bool) {
	const longName, volumeID, directory = 0x0F, 0x08, 0x10
	for e := entries; len(e) >= 32; e = e[32:] {
		attributes := e[11] & 0x3F
		switch {
		case e[0] == 0:
			return "", true
		case e[0] == 0xE5 || attributes == longName || attributes&(volumeID|directory) != volumeID:
			continue
		}
		label := append([]byte(nil), e[:11]...)
		if label[0] == 0x05 { // stands for 0xE5, which means "deleted"
			label[0] = 0xE5
		}
		return text(label), true
	}
	return "", len(entries) == 0
}
