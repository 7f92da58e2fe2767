package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/stefanberger/go-pkcs11uri"
)

// maxURI is the longest URI of a token that is taken.
const maxURI = 4096

// What RFC 7512 has in the path of a URI that makes a difference here. Others are
// refused: what is not understood might say another key.
var uriAttributes = []string{"token", "manufacturer", "serial", "model", "object", "id", "type"}

// TokenURI is a PKCS#11 URI as it goes into a volume's header.
type TokenURI struct {
	URI    string // without its query, and for the private key
	Module string // module-path or module-name of the query, "" for none
}

// ParseTokenURI checks a PKCS#11 URI (RFC 7512). One that names the certificate or public
// key comes back for the private key, as systemd keeps it. A PIN in it is refused: a
// definition and a header can be read by everybody.
func ParseTokenURI(text string) (TokenURI, error) {
	if len(text) > maxURI || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return TokenURI{}, fmt.Errorf("is no PKCS#11 URI: it is longer than %d bytes, or has unprintable characters", maxURI)
	}
	path, query, _ := strings.Cut(text, "?")
	rest, ok := strings.CutPrefix(path, "pkcs11:")
	if !ok {
		return TokenURI{}, errors.New(`is no PKCS#11 URI: it does not begin with "pkcs11:"`)
	}
	module, err := queryModule(query)
	if err != nil {
		return TokenURI{}, err
	}
	attributes := strings.Split(rest, ";")
	for i, attribute := range attributes {
		name, value, _ := strings.Cut(attribute, "=")
		if rest != "" && !slices.Contains(uriAttributes, name) {
			return TokenURI{}, fmt.Errorf("has the attribute %.40q; known are %s", name, strings.Join(uriAttributes, ", "))
		}
		if name == "type" && (value == "cert" || value == "public") {
			attributes[i] = "type=private"
		}
	}
	normal := "pkcs11:" + strings.Join(attributes, ";")
	if err := pkcs11uri.New().Parse(normal); err != nil {
		return TokenURI{}, fmt.Errorf("is no PKCS#11 URI: %w", err)
	}
	return TokenURI{URI: normal, Module: module}, nil
}

// queryModule returns the module that the query of a URI names. What it says of a PIN is
// never shown.
func queryModule(query string) (module string, err error) {
	if query == "" {
		return "", nil
	}
	for attribute := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(attribute, "=")
		switch name {
		case "module-path", "module-name":
			module = value
			err = errors.Join(err, checkModule(value, name == "module-path"))
		case "pin-value", "pin-source":
			return "", errors.New(`says what its PIN is; say where it comes from with "pin"`)
		default:
			return "", fmt.Errorf("has the query attribute %.40q; known are module-path and module-name", name)
		}
	}
	return module, err
}

// checkModule refuses what is neither the path of a module nor its name.
func checkModule(module string, path bool) error {
	if path || strings.Contains(module, "/") {
		return checkPath(module)
	}
	if module == "" || module != filepath.Base(module) || module == "." || module == ".." {
		return fmt.Errorf("has the module %q, which is neither an absolute path nor a name of p11-kit", module)
	}
	return nil
}

// tokenURI sets what a pkcs11 key is.
func (b *builder) tokenURI(k *Key, at place, set settings) {
	text, s, ok := value[string](set, "uri")
	if !ok {
		if k.Type == KeyPKCS11 {
			b.missing(at, "encryption.key.uri").hint(`say which key of which token: uri = "pkcs11:token=LABEL;object=NAME"`)
		}
		return
	}
	text, slot, err := takeSlot(text)
	if err != nil {
		b.fail(s, "%v", err)
		return
	}
	uri, err := ParseTokenURI(text)
	if err != nil {
		b.fail(s, "%v", err)
		return
	}
	k.URI, k.Module, k.Slot = uri.URI, uri.Module, slot
	if module, s, ok := value[string](set, "module"); ok {
		if err := checkModule(module, false); err != nil {
			b.fail(s, "%v", err)
		}
		k.Module = module
	}
	b.fingerprint(k, set)
	b.provisioning(k, s, set)
}

// fingerprint sets which key of a token is meant.
func (b *builder) fingerprint(k *Key, set settings) {
	text, s, ok := value[string](set, "key_sha256")
	if !ok {
		return
	}
	if sum, err := hex.DecodeString(text); err != nil || len(sum) != sha256.Size {
		b.fail(s, "is no SHA-256 sum: it takes %d hexadecimal digits", hex.EncodedLen(sha256.Size)).hint(`"sealpart key list" prints that of a key that is enrolled; "openssl pkey -pubin -outform DER | sha256sum" makes it`)
		return
	}
	if provision, _, _ := value[bool](set, "provision"); provision {
		b.fail(s, `names a key that is there, and "provision" makes one`)
	}
	k.KeySHA256 = strings.ToLower(text)
}
