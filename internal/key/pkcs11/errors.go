package pkcs11

import (
	"errors"

	"github.com/sealpart/sealpart/internal/key"
)

// What can be wrong with a token, for callers to act on; every Error has one of them.
var (
	ErrNotBuilt = errors.New("this sealpart was built without cgo, and cannot use keys of type pkcs11")
	ErrNoModule = errors.New("no PKCS#11 module")
	ErrModule   = errors.New("the PKCS#11 module cannot be used")
	ErrNoToken  = errors.New("no token that the URI fits")
	ErrSeveral  = errors.New("the URI fits more than one")
	ErrOther    = errors.New("the token that the URI fits has another key")
	ErrHidden   = errors.New("the token shows no public key before it has the PIN, so that nobody can tell whether it is the right one")
	ErrUnnamed  = errors.New("the definition does not say which key that is, only its label")
	ErrLoose    = errors.New("the token is in a slot that anything can be put into")
	ErrNoObject = errors.New("the token has no key that the URI fits")
	ErrPIN      = errors.New("the token refuses the PIN")
	ErrLocked   = errors.New("the token's PIN is locked")
	ErrLastTry  = errors.New("one more wrong PIN locks the token")
	ErrKey      = errors.New("the token's key cannot be used")
	ErrTaken    = errors.New("the token is initialised already, by others, and has no key that the URI fits")
	ErrNoBlank  = errors.New("no token that the URI fits, nor a blank one to make it of")
	ErrMaking   = errors.New("the token cannot be provisioned")
)

// hints say what to do next.
var hints = map[error]string{
	ErrNotBuilt: "build it with cgo (make build CGO=1), or use another key of the volume",
	ErrNoModule: "name the module with module = \"/path/to/module.so\", or install its p11-kit configuration",
	ErrModule:   "see what it needs: a daemon that runs, a configuration; its package's documentation says",
	ErrNoToken:  "put the token in, or compare the URI with \"p11tool --list-tokens\"",
	ErrSeveral:  "say key_sha256, or more in the URI: serial= of the token, id= of the key",
	ErrOther:    "put the right token in; or if this is it, say its key_sha256 in the definition",
	ErrHidden:   "put its certificate or public key on the token as a public object; by hand, without --boot, the PIN is given first",
	ErrUnnamed:  "in a boot it takes key_sha256 in the definition: \"sealpart key list\" prints it",
	ErrLoose:    "provision = true is for tokens that are part of the machine in a boot; make this one by hand, and say its key_sha256",
	ErrNoObject: "compare the URI with \"pkcs11-tool --list-objects\"; to enrol takes a certificate or public key, to open the private key",
	ErrPIN:      "it is not tried again in this run; give the right one with pin = \"…\", or type it",
	ErrLocked:   "its security officer can set a new one; until then another key of the volume must do",
	ErrLastTry:  "type it yourself, with pin = \"ask\"",
	ErrKey:      "it takes RSA of 2048 bits or more for decryption, or P-256, P-384 or P-521 for derivation",
	ErrTaken:    "let the URI name the key that it has, or another label; provision changes blank tokens only",
	ErrNoBlank:  "\"pkcs11-tool --list-token-slots\" shows what there is; slot-id=N in the URI chooses a slot",
	ErrMaking:   "nothing depends on the token yet, and the next run goes on with it",
}

// Error is what went wrong with the token of a URI. It never holds a PIN.
type Error struct {
	URI    string
	Reason error // one of the above
	Detail string
}

// Error names the URI, the reason and the detail.
func (e *Error) Error() string {
	text := e.URI + ": " + e.Reason.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Reason }

// Is tells that the key is not on this machine where the module, the token or its key is not.
func (e *Error) Is(target error) bool {
	return target == key.ErrAbsent && (e.Reason == ErrNoModule || e.Reason == ErrNoToken || e.Reason == ErrOther || e.Reason == ErrNoBlank)
}

// Hint says what to do next.
func (e *Error) Hint() string { return hints[e.Reason] }
