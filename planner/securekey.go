package planner

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// secureKeyPrograms lists what makes the volume key of a new volume.
func secureKeyPrograms(e *definitions.Encryption) []string {
	if e.SecureKey == nil {
		return nil
	}
	return []string{"zkey"}
}

// refuseSecure refuses a conversion to, from or under a secure key.
func refuseSecure(d definitions.Definition, p disk.Partition, what string) error {
	return refuse(d, p, what+" a secure key, which only the kernel can use, and data is converted in user space",
		`new partitions can have one; of a volume under `+definitions.CipherClear+` "zkey-cryptsetup convert" makes one without touching its data`)
}
