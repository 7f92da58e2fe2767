package tpm2

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/pbkdf2"

	"github.com/sealpart/sealpart/internal/secret"
)

// pinRounds is PBKDF2's cost for a salted PIN, as systemd since 253 has it. What keeps
// a PIN from being guessed is the TPM, which counts.
const pinRounds = 10000

// authValue is the authorization that systemd makes of a PIN: its SHA-256, and with
// tpm2_salt (253 and later) that of the base64 of its PBKDF2. The caller wipes it. A TPM
// leaves zero bytes at its end away. TPM 2.0 Library Part 1, 19.6.4.3.
func authValue(pin, salt []byte) []byte {
	hashed := pin
	if len(salt) > 0 {
		derived := pbkdf2.Key(pin, salt, pinRounds, sha256.Size, sha256.New)
		hashed = Passphrase(derived)
		defer secret.Wipe(derived)
		defer secret.Wipe(hashed)
	}
	sum := sha256.Sum256(hashed)
	return bytes.TrimRight(sum[:], "\x00")
}

// authorization is what a token's PIN gives, nil where it wants none.
func (tok Token) authorization(pin []byte) ([]byte, error) {
	switch {
	case !tok.PIN:
		return nil, nil
	case len(pin) == 0:
		return nil, ErrNoPIN
	}
	return authValue(pin, tok.Salt), nil
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
