//go:build testkeys

package file

import "github.com/sealpart/sealpart/luks2"

// keyslotKDF costs nothing here. Only the program of tests/kernel is built so: in the kernel
// that it runs in, each page of memory costs a millisecond, and argon2 wants eight thousand.
var keyslotKDF = luks2.KDF{Type: "argon2id", Time: 4, MemoryKiB: 32, CPUs: 1}
