package pkcs11

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/stefanberger/go-pkcs11uri"
)

// place is what a URI (RFC 7512) says of a token and of a key on it. Empty fields fit
// anything.
type place struct {
	uri                                string // as in messages
	token, manufacturer, serial, model string
	object, id                         string
}

// parsePlace takes a URI apart. Its query part must be gone already.
func parsePlace(text string) (place, error) {
	normal, err := definitions.ParseTokenURI(text)
	if err != nil {
		return place{}, fmt.Errorf("pkcs11-uri: %w", err)
	}
	uri := pkcs11uri.New()
	if err := uri.Parse(normal.URI); err != nil {
		return place{}, fmt.Errorf("pkcs11-uri: %w", err)
	}
	get := func(name string) string {
		value, _ := uri.GetPathAttribute(name, false)
		return value
	}
	return place{
		uri: normal.URI, token: get("token"), manufacturer: get("manufacturer"), serial: get("serial"),
		model: get("model"), object: get("object"), id: get("id"),
	}, nil
}

// fits reports whether the URI means a token that says this of itself.
func (p place) fits(label, manufacturer, serial, model string) bool {
	for _, pair := range [][2]string{{p.token, label}, {p.manufacturer, manufacturer}, {p.serial, serial}, {p.model, model}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// fail makes an error of a reason.
func (p place) fail(reason error, format string, args ...any) error {
	return &Error{URI: p.uri, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
