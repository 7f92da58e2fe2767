package probe

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/sealpart/sealpart/disk"
)

// findVerity finds the superblock of a dm-verity hash device (cryptsetup,
// DMVerity: Verity superblock format).
func findVerity(m *image) (disk.Content, bool) {
	sb := m.at(0, 512)
	if sb == nil || string(sb[:8]) != "verity\x00\x00" {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	c := disk.Content{Kind: "DM_verity_hash", Version: "1", UUID: uuidText(sb[16:32])}
	saltSize, dataBlocks := le.Uint16(sb[80:]), le.Uint64(sb[72:])
	switch version := le.Uint32(sb[8:]); {
	case version != 1:
		return disk.Content{Kind: "DM_verity_hash", Problem: fmt.Sprintf("verity superblock has the unknown version %d", version)}, true
	case saltSize > 256 || dataBlocks > math.MaxInt64:
		return disk.Content{Kind: "DM_verity_hash", Problem: "verity superblock is damaged"}, true
	}
	c.Verity = &disk.Verity{
		HashType:      int(le.Uint32(sb[12:])),
		Algorithm:     text(sb[32:64]),
		DataBlockSize: disk.Bytes(le.Uint32(sb[64:])),
		HashBlockSize: disk.Bytes(le.Uint32(sb[68:])),
		DataBlocks:    int64(dataBlocks),
		Salt:          hex.EncodeToString(sb[88 : 88+saltSize]),
	}
	return c, true
}
