package pkcs11

import (
	"context"

	"github.com/sealpart/sealpart/definitions"
)

// The data object that marks a token in the making.
const (
	markApplication = "sealpart"
	markLabel       = "provisioning"
)

// provision makes the token of the URI of a blank one, and its key pair. A token that is
// there already is not touched, but one that was begun here: see provisionCard.
func (s *Sealer) provision(ctx context.Context, where place, t terms, key definitions.Key) error {
	modules, err := s.modules(where, key)
	if err != nil {
		return err
	}
	// The definition's PIN, not that of --pin: it is made so for every boot to come.
	return provisionCard(where, t, modules[0], key, func() ([]byte, error) {
		given, err := s.readPIN(ctx, where, key.PIN, "")
		if err != nil {
			return nil, err
		}
		return given.text.Bytes(), nil
	})
}
