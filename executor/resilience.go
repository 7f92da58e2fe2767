package executor

import (
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
)

// tornUnit is what every storage writes whole or not at all.
const tornUnit = 512

// checksumHash is the hash of old blocks, cryptsetup's default.
const checksumHash = "sha256"

// atomicUnit returns what dev writes whole or not at all: its physical sector, where
// it tells.
func atomicUnit(dev Target) disk.Bytes {
	if d, ok := dev.(interface{ PhysicalSectorSize() disk.Bytes }); ok {
		return max(d.PhysicalSectorSize(), tornUnit)
	}
	return tornUnit
}

// forwardOptions decides how half written zones are told from others. A block of the
// checksums must be at least an encryption sector, for that is what becomes new, and
// at most what the storage writes whole: a block that is half new has neither
// checksum. Where no size is both, only a journal is safe.
func (c *conversion) forwardOptions(sectorSize int) luks2.ForwardOptions {
	o := luks2.ForwardOptions{Resilience: "journal", DeviceSize: c.header.VolumeEnd(int64(c.part.Size())), Rand: c.env.Random}
	if disk.Bytes(sectorSize) <= c.atomic {
		o.Resilience, o.Hash, o.ChecksumSectorSize = "checksum", checksumHash, sectorSize
	}
	return o
}

// protect gives a conversion that another program began without any protection one
// of ours. A power cut leaves the header as it was, or the new one; no data changes.
func (c *conversion) protect(pending *luks2.Reencryption, keys dataKeys) error {
	var old []byte
	if keys.old != nil {
		old = keys.old.Bytes()
	}
	options := c.forwardOptions(max(pending.Previous.SectorSize, pending.Final.SectorSize))
	if err := c.header.Protect(options, old, keys.new.Bytes()); err != nil {
		return err
	}
	return c.commit()
}
