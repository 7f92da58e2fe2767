package tpm2

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/sealpart/sealpart/internal/key"
)

// Errors on which callers can act. Every error of this package that has one of
// these reasons wraps it; all others mean that the TPM, the connection to it or
// the token is broken.
var (
	// ErrNoTPM: there is no TPM at the place named. Use another key, or wait for
	// the driver to appear.
	ErrNoTPM = key.Absent(errors.New("no TPM 2.0 found"))
	// ErrPolicy: this TPM holds the key, but the PCRs are not as they were at
	// sealing (an update of the firmware, the boot loader, Secure Boot's keys).
	// Open the volume by another key and enroll the TPM again; or boot what was
	// booted then.
	ErrPolicy = errors.New("the TPM policy does not match")
	// ErrForeignTPM: the object was sealed by another TPM, or by this one before
	// it was cleared. It can never be unsealed here; remove the token.
	ErrForeignTPM = errors.New("sealed by another TPM, or before this one was cleared")
	// ErrLockout: the TPM refuses after too many failed authorizations. Wait (the
	// TPM forgets them one by one) or reset the lockout with its password.
	ErrLockout = errors.New("the TPM is locked out after too many failed authorizations: wait, or reset it (tpm2_dictionarylockout --clear-lockout)")
	// ErrNoPIN: the token wants a PIN, and none was given. The TPM was not asked.
	ErrNoPIN = errors.New("it wants a PIN, and none was given")
	// ErrPIN: the PIN is wrong, and the TPM has counted that.
	ErrPIN = errors.New("the PIN is wrong")
	// ErrBusy: another program has the TPM, or it kept asking to be asked again.
	ErrBusy = errors.New("the TPM is busy: try again, and name /dev/tpmrm0, which programs can share, rather than /dev/tpm0")
	// ErrBlank: nothing but the TPM itself would have to be right for the key to open. Bind
	// it to something else, or say that it is meant so. Nothing was sealed.
	ErrBlank = errors.New("the key would bind to nothing")
	// ErrUnsupported: the token is bound in a way that is not built yet, or the
	// TPM lacks what is asked for. Use another key, or systemd's own tools.
	ErrUnsupported = errors.New("not supported")
)

// failed says what was being done when the TPM answered with an error, and marks
// a lockout, which any command with an authorization can meet.
func failed(doing string, err error) error {
	if errors.Is(err, tpm2.TPMRCLockout) {
		return fmt.Errorf("%s: %w: %w", doing, ErrLockout, err)
	}
	var code tpm2.TPMRC
	if errors.As(err, &code) && busy(code) {
		return fmt.Errorf("%s: %w: %w", doing, ErrBusy, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
