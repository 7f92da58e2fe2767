// Package modhex is the text of a recovery key as systemd makes and reads it
// (systemd-cryptenroll(1), --recovery-key): 32 random bytes, a letter for each half of
// a byte, from sixteen letters that lie alike on many keyboards, and a dash after every
// eight. The passphrase of the keyslot is this text itself, in lower case and with the
// dashes; a person may type it in any case and without them.
package modhex

import (
	"bytes"
	"io"

	"github.com/sealpart/sealpart/internal/secret"
)

const (
	letters  = "cbdefghijklnrtuv"
	size     = 32 // bytes that the text stands for
	group    = 8  // letters between two dashes
	textSize = 2*size + 2*size/group - 1
)

// Random returns the text of a new recovery key.
func Random(source io.Reader) (*secret.Buffer, error) {
	key, err := secret.Random(size, source)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	text, err := secret.New(textSize)
	if err != nil {
		return nil, err
	}
	at := 0
	for i, b := range key.Bytes() {
		if i > 0 && 2*i%group == 0 {
			text.Bytes()[at] = '-'
			at++
		}
		text.Bytes()[at], text.Bytes()[at+1] = letters[b>>4], letters[b&15]
		at += 2
	}
	return text, nil
}

// Normalize returns a recovery key as the keyslot has it, from one in any case, with or
// without dashes, and with a line's end behind it. It returns nil, and no error, for
// what is no recovery key.
func Normalize(typed []byte) (*secret.Buffer, error) {
	typed = bytes.TrimRight(typed, "\r\n")
	dashed := len(typed) == textSize
	if !dashed && len(typed) != 2*size {
		return nil, nil
	}
	text, err := secret.New(textSize)
	if err != nil {
		return nil, err
	}
	from := 0
	for to := range textSize {
		if to%(group+1) == group {
			text.Bytes()[to] = '-'
			if dashed && typed[from] != '-' {
				text.Wipe()
				return nil, nil
			}
			if dashed {
				from++
			}
			continue
		}
		letter := typed[from] | 0x20 // lower case
		if bytes.IndexByte([]byte(letters), letter) < 0 {
			text.Wipe()
			return nil, nil
		}
		text.Bytes()[to] = letter
		from++
	}
	return text, nil
}
