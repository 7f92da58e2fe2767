package tpm2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// pinRounds is PBKDF2's cost for a salted PIN, as systemd since 253 has it. What keeps
// a PIN from being guessed is the TPM, which counts.
const pinRounds = 10000

// saltSize of tpm2_salt.
const saltSize = 32

// lockLabel is the purpose for which the TPM's secret and a hardened PIN are made one.
const lockLabel = "systemd-tpm2-argon2id-lock"

// Hardening is what Argon2id makes a PIN cost, so that a PIN guards the secret even
// where a TPM gives away what it holds. All 0: the PIN is not hardened.
type Hardening struct {
	Memory     uint64 // bytes
	Iterations uint32
	Lanes      uint32
}

// defaultHardening is the second choice of RFC 9106, 4: for little memory.
var defaultHardening = Hardening{Memory: 64 << 20, Iterations: 3, Lanes: 4}

// The most that a header may ask for: it is anybody's to write.
const (
	maxHardMemory     = 2 << 30
	maxHardIterations = 1 << 10
	maxHardLanes      = 64
)

// check refuses what Argon2id cannot do or nobody would wait for.
func (h Hardening) check() error {
	if h == (Hardening{}) {
		return nil
	}
	if h.Iterations < 1 || h.Iterations > maxHardIterations || h.Lanes < 1 || h.Lanes > maxHardLanes ||
		h.Memory%1024 != 0 || h.Memory < 8*1024*uint64(h.Lanes) || h.Memory > maxHardMemory {
		return fmt.Errorf("tpm2_argon2id: %d bytes, %d iterations and %d lanes are not what can be worked with", h.Memory, h.Iterations, h.Lanes)
	}
	return nil
}

// pinKey is what a PIN gives: the authorization for the TPM, and for a hardened PIN what
// the secret is mixed with. Both nil: there is no PIN.
type pinKey struct{ auth, mix []byte }

// wipe forgets it.
func (k pinKey) wipe() {
	secret.Wipe(k.auth)
	secret.Wipe(k.mix)
}

// finish makes of what the TPM holds the secret that the passphrase is the base64 of. The
// caller wipes both.
func (k pinKey) finish(plain []byte) []byte {
	if k.mix == nil {
		return bytes.Clone(plain)
	}
	return secret.HKDF256(k.mix, plain, lockLabel)
}

// pinKey is what a PIN gives for this token. The caller wipes it. What it costs the token
// says, which is anybody's to write: it ends with ctx, and is charged to the header's budget.
func (tok Token) pinKey(ctx context.Context, pin []byte) (pinKey, error) {
	switch {
	case !tok.PIN:
		return pinKey{}, nil
	case len(pin) == 0:
		return pinKey{}, ErrNoPIN
	case tok.Hardening == Hardening{}:
		auth, err := authValue(ctx, pin, tok.Salt)
		return pinKey{auth: auth}, err
	}
	derived, err := tok.Hardening.kdf().Derive(ctx, pin, tok.Salt, 2*sha256.Size)
	if err != nil {
		return pinKey{}, fmt.Errorf("the PIN's key: %w", err)
	}
	defer secret.Wipe(derived)
	second := Passphrase(derived[sha256.Size:])
	defer secret.Wipe(second)
	auth, err := authValue(ctx, second, tok.Salt)
	return pinKey{auth: auth, mix: bytes.Clone(derived[:sha256.Size])}, err
}

// kdf is Argon2id at that cost.
func (h Hardening) kdf() luks2.KDF {
	return luks2.KDF{Type: "argon2id", Time: int(h.Iterations), MemoryKiB: int(h.Memory >> 10), CPUs: int(h.Lanes)}
}

// authValue is the authorization that systemd makes of a PIN: its SHA-256, and with
// tpm2_salt (253 and later) that of the base64 of its PBKDF2. The caller wipes it. A TPM
// leaves zero bytes at its end away. TPM 2.0 Library Part 1, 19.6.4.3.
func authValue(ctx context.Context, pin, salt []byte) ([]byte, error) {
	hashed := pin
	if len(salt) > 0 {
		derived, err := luks2.KDF{Type: "pbkdf2", Hash: "sha256", Iterations: pinRounds}.Derive(ctx, pin, salt, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("the PIN's key: %w", err)
		}
		hashed = Passphrase(derived)
		defer secret.Wipe(derived)
		defer secret.Wipe(hashed)
	}
	return bytes.TrimRight(secret.Sum256(hashed), "\x00"), nil
}

// refusedPIN marks what the TPM says to a wrong PIN. It is not tried again: each try is
// counted.
func (t *TPM) refusedPIN(err error) error {
	if errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCBadAuth) {
		return fmt.Errorf("unseal: %w%s: %w", ErrPIN, t.triesLeft(), err)
	}
	return failed("unseal", err)
}

// triesLeft says how many failures the TPM still takes, where it tells.
func (t *TPM) triesLeft() string {
	failures, most, _, err := t.lockout()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; after %d more the TPM locks itself", max(0, int64(most)-int64(failures)))
}

// lockedFor says when the TPM takes the next try, where it tells.
func (t *TPM) lockedFor() string {
	_, _, interval, err := t.lockout()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; it forgets one each %s", time.Duration(interval)*time.Second)
}

// lockout reads the TPM's counter of failures, how many it takes, and after how many
// seconds it forgets one. TPM 2.0 Library Part 2, 6.13.
func (t *TPM) lockout() (failures, most, interval uint32, err error) {
	rsp, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTLockoutCounter), PropertyCount: 3,
	}.Execute(t.link)
	if err != nil {
		return 0, 0, 0, err
	}
	properties, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, 0, 0, err
	}
	values := map[tpm2.TPMPT]uint32{}
	for _, p := range properties.TPMProperty {
		values[p.Property] = p.Value
	}
	return values[tpm2.TPMPTLockoutCounter], values[tpm2.TPMPTMaxAuthFail], values[tpm2.TPMPTLockoutInterval], nil
}
