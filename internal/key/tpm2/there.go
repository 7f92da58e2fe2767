package tpm2

import (
	"context"
	"errors"

	"github.com/sealpart/sealpart/definitions"
)

// There reports whether there is something at the sealer's device. It asks a TPM nothing;
// one that may not be opened or does not answer is there all the same.
func (s Sealer) There(ctx context.Context, k definitions.Key) bool {
	if k.DeviceKey != "" {
		return true // what it is sealed to need not be here
	}
	addresses, err := parseDevice(s.Device)
	if err != nil {
		return true // Seal says what is wrong
	}
	c, err := connect(ctx, s.Device, addresses)
	if err != nil {
		return !errors.Is(err, ErrNoTPM)
	}
	_ = c.Close() // nothing was said
	return true
}
