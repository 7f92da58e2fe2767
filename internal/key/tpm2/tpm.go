package tpm2

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// TPM is an open TPM 2.0. It is for one goroutine at a time.
type TPM struct {
	// Search says where the files are that go with a policy.
	Search Search
	// Warn is told what somebody should know about a key that is made; nil: nobody.
	Warn func(string)
	link *link
}

// Open connects to a TPM and sees that it is started. device is
//
//	auto                            /dev/tpmrm0, else /dev/tpm0
//	/dev/tpmrm0, device:/dev/tpm0   a device node
//	swtpm:path=/run/swtpm.sock      an emulator's UNIX socket
//	swtpm:host=127.0.0.1,port=2321  the same by TCP; these are the defaults
//	mssim:host=127.0.0.1,port=2321  a simulator, as in tpm2-tss
//
// Where nothing is there the error wraps ErrNoTPM, and for a TPM 1.2
// ErrUnsupported. The end of ctx ends whatever is asked of the TPM, also of one that does not
// answer; what it then holds for us is given back all the same if it does answer.
func Open(ctx context.Context, device string) (*TPM, error) {
	addresses, err := parseDevice(device)
	if err != nil {
		return nil, err
	}
	c, err := connect(ctx, device, addresses)
	if err != nil {
		return nil, err
	}
	t := &TPM{link: &link{channel: c, ctx: ctx}}
	if err := t.startup(); err != nil {
		return nil, errors.Join(fmt.Errorf("TPM device %q: %w", device, err), c.Close())
	}
	return t, nil
}

// startup does what the firmware should have done; TPM_RC_INITIALIZE says that it
// did. TPM 2.0 Library Part 3, 9.3.
func (t *TPM) startup() error {
	_, err := tpm2.Startup{StartupType: tpm2.TPMSUClear}.Execute(t.link)
	if err != nil && !errors.Is(err, tpm2.TPMRCInitialize) {
		return failed("start", err)
	}
	return nil
}

// release gives back what an operation brought into the TPM. Its failure is not
// the operation's: what stays is in the ledger, and Close tries again and reports.
func (t *TPM) release() { _ = t.link.flush() }

// Close gives back whatever the TPM still holds for us, sees to it that a power cut from now
// on is no wrong try, and closes the connection. Whoever has used a key closes soon.
func (t *TPM) Close() error {
	return errors.Join(t.link.flush(), t.link.settle(), t.link.Close())
}

// Settle sees to it that a power cut from now on is no wrong try, whatever other programs
// have done with the TPM since it was started: systemd-cryptsetup uses guarded keys, and
// never says that all is told. The errors are those of Open, and the TPM's own.
func Settle(ctx context.Context, device string) error {
	t, err := Open(ctx, device)
	if err != nil {
		return err
	}
	t.link.counts = true
	return t.Close()
}
