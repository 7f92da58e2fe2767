package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// encrypt makes an age file that any of the recipients can decrypt.
func encrypt(text []byte, recipients []string) ([]byte, error) {
	parsed, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
	if err != nil {
		return nil, fmt.Errorf("escrow: %w", err)
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, parsed...)
	if err != nil {
		return nil, fmt.Errorf("escrow: %w", err)
	}
	// age encrypts its copy of the text in place, so that none stays behind.
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("escrow: %w", err)
	}
	return file.Bytes(), nil
}
