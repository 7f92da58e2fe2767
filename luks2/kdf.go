package luks2

import (
	"context"
	"crypto/pbkdf2"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/crypto/argon2"
)

// KDF is how a passphrase becomes a key, with its cost.
type KDF struct {
	Type       string // "pbkdf2", "argon2id" or "argon2i"
	Hash       string // pbkdf2 only
	Iterations int    // pbkdf2 only, at least 1000
	// Time (passes, at least 4), MemoryKiB (32 to 4194304) and CPUs (1 to 4) are for
	// argon2 only.
	Time, MemoryKiB, CPUs int
}

// Limits of cryptsetup for what is written.
const (
	minIterations = 1000
	minTime       = 4
	minMemoryKiB  = 32
	maxMemoryKiB  = 4 << 20
	maxCPUs       = 4
)

// Limits of what is run: a hostile header must not stop a boot for hours. Both are
// far above what a calibrated slot needs.
const (
	maxIterations = 1 << 29
	maxWorkKiB    = 1 << 31 // time × memory: 2 TiB of memory traffic
)

// TokenKDF returns the cheap KDF for secrets that are random already, as systemd
// uses it: guessing 256 random bits needs no slowing down.
func TokenKDF() KDF { return KDF{Type: "pbkdf2", Hash: "sha512", Iterations: minIterations} }

// CalibrateArgon2id returns the cost that takes about target on this machine, with
// at most maxMemory KiB: all the memory first, then more passes. It runs for about a
// tenth of a second.
func CalibrateArgon2id(target time.Duration, maxMemory int) KDF {
	maxMemory = min(max(maxMemory, minMemoryKiB), maxMemoryKiB)
	k := KDF{Type: "argon2id", Time: minTime, MemoryKiB: min(maxMemory, 16<<10), CPUs: min(runtime.NumCPU(), maxCPUs)}
	start := time.Now()
	argon2.IDKey([]byte("calibration"), make([]byte, saltSize), uint32(k.Time), uint32(k.MemoryKiB), uint8(k.CPUs), 64)
	took := max(time.Since(start), time.Microsecond)
	work := float64(k.Time) * float64(k.MemoryKiB) * float64(target) / float64(took)
	work = min(work, maxWorkKiB/2)
	k.MemoryKiB = int(min(max(work/minTime, minMemoryKiB), float64(maxMemory)))
	k.Time = int(min(max(math.Round(work/float64(k.MemoryKiB)), minTime), math.MaxInt32))
	return k
}

// parseKDF takes any type: one that is not known spoils its keyslot, not the header.
func parseKDF(f fields) (k KDF, salt []byte) {
	switch k.Type = f.text("type"); k.Type {
	case "pbkdf2":
		k.Hash, k.Iterations = f.text("hash"), f.number("iterations")
	case "argon2i", "argon2id":
		k.Time, k.MemoryKiB, k.CPUs = f.number("time"), f.number("memory"), f.number("cpus")
	}
	return k, f.bytes("salt", 64)
}

// encode returns the "kdf" object. cryptsetup counts its keys: none may be added.
func (k KDF) encode(salt []byte) object {
	if k.Type == "pbkdf2" {
		return object{
			{"type", jsonString(k.Type)}, {"hash", jsonString(k.Hash)},
			{"iterations", jsonInt(k.Iterations)}, {"salt", jsonBytes(salt)},
		}
	}
	return object{
		{"type", jsonString(k.Type)}, {"time", jsonInt(k.Time)}, {"memory", jsonInt(k.MemoryKiB)},
		{"cpus", jsonInt(k.CPUs)}, {"salt", jsonBytes(salt)},
	}
}

// check refuses a cost that cryptsetup would not write.
func (k KDF) check() error {
	switch k.Type {
	case "pbkdf2":
		if _, err := newHash(k.Hash); err != nil {
			return fmt.Errorf("kdf: %w", err)
		}
		if k.Iterations < minIterations || k.Iterations > maxIterations {
			return fmt.Errorf("kdf: %d iterations are not from %d to %d", k.Iterations, minIterations, maxIterations)
		}
	case "argon2i", "argon2id":
		if k.MemoryKiB < minMemoryKiB || k.MemoryKiB > maxMemoryKiB {
			return fmt.Errorf("kdf: %d KiB of memory are not from %d to %d", k.MemoryKiB, minMemoryKiB, maxMemoryKiB)
		}
		if k.Time < minTime || int64(k.Time)*int64(k.MemoryKiB) > maxWorkKiB {
			return fmt.Errorf("kdf: %d passes are less than %d, or too many", k.Time, minTime)
		}
		if k.CPUs < 1 || k.CPUs > maxCPUs {
			return fmt.Errorf("kdf: %d cpus are not from 1 to %d", k.CPUs, maxCPUs)
		}
	default:
		return fmt.Errorf("kdf: type %.40q is not known", k.Type)
	}
	return nil
}

// afHash is the hash of the splitter that goes with the KDF, as cryptsetup does it.
func (k KDF) afHash() string {
	if k.Type == "pbkdf2" {
		return k.Hash
	}
	return "sha256"
}

// derive returns size bytes of key, or the cause of ctx's end as soon as that comes. It
// refuses costs that would take hours or more memory than cryptsetup ever asks for.
func (k KDF) derive(ctx context.Context, passphrase, salt []byte, size int) ([]byte, error) {
	run := argon2.IDKey
	switch k.Type {
	case "pbkdf2":
		return pbkdf2Key(ctx, k.Hash, passphrase, salt, k.Iterations, size)
	case "argon2i":
		run = argon2.Key
	case "argon2id":
	default:
		return nil, fmt.Errorf("kdf %.40q is not known", k.Type)
	}
	if k.Time < 1 || k.CPUs < 1 || k.CPUs > 255 || k.MemoryKiB < 1 || k.MemoryKiB > maxMemoryKiB {
		return nil, fmt.Errorf("%s with %d passes, %d KiB, %d cpus is out of range", k.Type, k.Time, k.MemoryKiB, k.CPUs)
	}
	if int64(k.Time)*int64(max(k.MemoryKiB, 8*k.CPUs)) > maxWorkKiB {
		return nil, fmt.Errorf("%s with %d passes over %d KiB would take too long", k.Type, k.Time, k.MemoryKiB)
	}
	return abandonable(ctx, passphrase, func(passphrase []byte) []byte {
		// What the run worked in is garbage then, as much as 4 GiB, and was derived from the
		// secret. The collector would come only when as much again is taken: by the next
		// run, on a machine that has no room for both. So it goes back at once.
		defer debug.FreeOSMemory()
		return run(passphrase, salt, uint32(k.Time), uint32(k.MemoryKiB), uint8(k.CPUs), uint32(size))
	})
}

// abandonable runs a derivation that cannot be stopped, and returns the cause of ctx's end
// as soon as that comes. The derivation then goes on by itself until it or the process
// ends, with a copy of the passphrase that it wipes, as it does its result.
func abandonable(ctx context.Context, passphrase []byte, run func(passphrase []byte) []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own, derived := slices.Clone(passphrase), make(chan []byte)
	go func() {
		key := run(own)
		clear(own)
		select {
		case derived <- key:
		case <-ctx.Done():
			clear(key)
		}
	}()
	select {
	case key := <-derived:
		return key, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pbkdf2Key runs PBKDF2. The standard library copies the secret into a string, which
// cannot be erased.
func pbkdf2Key(ctx context.Context, hash string, secret, salt []byte, iterations, size int) ([]byte, error) {
	newHash, err := newHash(hash)
	if err != nil {
		return nil, err
	}
	if iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("pbkdf2 with %d iterations is out of range", iterations)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return pbkdf2.Key(newHash, string(secret), salt, iterations, size)
}
