package benchmark

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"time"

	"github.com/sealpart/sealpart/luks2"
)

// PBKDF2 is how many iterations a core does in a second.
type PBKDF2 struct {
	Hash string  `json:"hash"`
	Rate float64 `json:"rate"` // iterations a second
}

// Argon2id is the cost of a keyslot that takes Seconds to open on this machine.
type Argon2id struct {
	Seconds float64 `json:"seconds"`
	Time    int     `json:"time"`   // passes
	Memory  int     `json:"memory"` // KiB
	CPUs    int     `json:"cpus"`
}

// maxArgon2idMemory is cryptsetup's limit, in KiB, for keyslots that it calibrates.
const maxArgon2idMemory = 1 << 20

// MeasurePBKDF2 measures the derivation of one block of "sha256" or "sha512".
func MeasurePBKDF2(name string, d time.Duration) (PBKDF2, error) {
	var newHash func() hash.Hash
	switch name {
	case "sha256":
		newHash = sha256.New
	case "sha512":
		newHash = sha512.New
	default:
		return PBKDF2{}, fmt.Errorf("pbkdf2 with hash %q: must be sha256 or sha512", name)
	}
	const iterations = 1000
	rate, err := measure(d, func() error {
		_, err := pbkdf2.Key(newHash, "benchmark", make([]byte, 32), iterations, newHash().Size())
		return err
	})
	return PBKDF2{Hash: name, Rate: rate * iterations}, err
}

// MeasureArgon2id finds the cost that takes about a second.
func MeasureArgon2id() Argon2id {
	k := luks2.CalibrateArgon2id(time.Second, maxArgon2idMemory)
	return Argon2id{Seconds: 1, Time: k.Time, Memory: k.MemoryKiB, CPUs: k.CPUs}
}
