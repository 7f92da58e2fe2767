package definitions

import "testing"

// FuzzTokenURI: what is taken is normal already, and says no PIN.
func FuzzTokenURI(f *testing.F) {
	for _, seed := range []string{"pkcs11:token=a;object=b", "pkcs11:", "pkcs11:type=cert?module-name=softhsm", "pkcs11:id=%01%zz", "pkcs11:token=a?pin-value=1", "pkcs11:slot-id=7;token=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rest, _, err := takeSlot(text)
		if err != nil {
			return
		}
		uri, err := ParseTokenURI(rest)
		if err != nil {
			return
		}
		if again, err := ParseTokenURI(uri.URI); err != nil || again.URI != uri.URI || again.Module != "" {
			t.Errorf("%q became %q, and that %q: %v", text, uri.URI, again.URI, err)
		}
	})
}

// FuzzRecipient: text from a definition goes to age's parsers.
func FuzzRecipient(f *testing.F) {
	f.Add("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudmrzulqgxywmt")
	f.Add("age1pq1")
	f.Fuzz(func(_ *testing.T, text string) { isRecipient(text) })
}
