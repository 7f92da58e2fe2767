package probe

import (
	"strconv"

	"github.com/sealpart/sealpart/disk"
)

// findIntegrity finds the superblock of a dm-integrity device (kernel,
// dm-integrity.c: struct superblock). Its content is not at its place without the
// tags between.
func findIntegrity(m *image) (disk.Content, bool) {
	sb := m.at(0, 512)
	if sb == nil || string(sb[:8]) != "integrt\x00" {
		return disk.Content{}, false
	}
	return disk.Content{Kind: "DM_integrity", Version: strconv.Itoa(int(sb[8]))}, true
}
