//go:build !testkeys

package file

import "github.com/sealpart/sealpart/luks2"

// keyslotKDF is the cost of opening a keyslot by a key file: above what OWASP asks
// of Argon2id for passwords (19 MiB, 2 passes), for files that hold one, and little
// enough for a first boot on a small machine. It is fixed, not measured: the same
// image must cost the device the same, whatever the build host was doing.
var keyslotKDF = luks2.KDF{Type: "argon2id", Time: 4, MemoryKiB: 32 << 10, CPUs: 4}
