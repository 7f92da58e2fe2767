package luks2

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"
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
	_, _ = k.Derive(context.Background(), []byte("calibration"), make([]byte, saltSize), 64) // without room it takes no time
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

// Derive returns size bytes of key, or the cause of ctx's end as soon as that comes. It
// refuses costs that would take hours or more memory than cryptsetup ever asks for, and
// with a MemoryError those for which there is no memory here. Time is charged to the budget
// that ctx has from Header.Budgeted: the end of that is ErrTooCostly. The caller erases the
// key; of the passphrase no copy is left.
//
// Whatever has its cost from a header, also from a token in one, goes through it: the header
// is anybody's to write.
func (k KDF) Derive(ctx context.Context, passphrase, salt []byte, size int) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	mode := argon2id
	switch k.Type {
	case "pbkdf2":
		return pbkdf2Key(ctx, k.Hash, passphrase, salt, k.Iterations, size)
	case "argon2i":
		mode = argon2i
	case "argon2id":
	default:
		return nil, fmt.Errorf("kdf %.40q is not known", k.Type)
	}
	if k.Time < 1 || k.CPUs < 1 || k.CPUs > 255 || k.MemoryKiB < 1 || k.MemoryKiB > maxMemoryKiB {
		return nil, fmt.Errorf("%s with %d passes, %d KiB, %d cpus is out of range", k.Type, k.Time, k.MemoryKiB, k.CPUs)
	}
	memory := max(k.MemoryKiB, 8*k.CPUs)
	if int64(k.Time)*int64(memory) > maxWorkKiB {
		return nil, fmt.Errorf("%s with %d passes over %d KiB would take too long", k.Type, k.Time, k.MemoryKiB)
	}
	if err := checkRoom(k.Type, int64(memory)<<10); err != nil {
		return nil, err
	}
	return argon2Key(ctx, mode, passphrase, salt, uint32(k.Time), uint32(k.MemoryKiB), uint32(k.CPUs), size)
}
