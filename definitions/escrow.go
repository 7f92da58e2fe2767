package definitions

import (
	"strings"

	"filippo.io/age"
)

// escrow returns the age recipients of a recovery key.
func (b *builder) escrow(set settings) []string {
	recipients, s, ok := value[[]string](set, "escrow")
	if !ok {
		return nil
	}
	if _, path := set["path"]; path {
		b.fail(s, `stands beside "path": an escrowed key is kept in the volume's header, and is in the clear nowhere`)
	}
	if len(recipients) == 0 {
		b.fail(s, "names no recipient")
	}
	for i, r := range recipients {
		switch {
		case strings.HasPrefix(strings.ToUpper(r), "AGE-SECRET-KEY-"):
			// It decrypts what others escrow: not a letter of it goes into an error.
			b.failItem(s, i, "has an age identity, which is a secret; a recipient begins with \"age1\"").Excerpt = ""
		case !isRecipient(r):
			b.failItem(s, i, `has %.80q, which is no age recipient ("age1…", as age-keygen(1) prints it)`, r)
		}
	}
	return recipients
}

// isRecipient reports whether text is one recipient of those that age itself knows. All
// of them must be of today's or all of the post-quantum kind; age refuses a mixture.
func isRecipient(text string) bool {
	if !strings.HasPrefix(text, "age1") || strings.ContainsAny(text, "\r\n") {
		return false
	}
	parsed, err := age.ParseRecipients(strings.NewReader(text))
	return err == nil && len(parsed) == 1
}
