package luks2

import (
	"errors"
	"fmt"
)

var (
	// ErrNotLUKS2 means that there is no LUKS header, neither at the start nor at
	// any place where a second copy may lie.
	ErrNotLUKS2 = errors.New("no LUKS2 header")
	// ErrDamaged means that there is a LUKS header and no copy of it is valid; the
	// text says what is wrong where. Such a device may hold data: never format it
	// without being told to.
	ErrDamaged = errors.New("damaged LUKS2 header")
	// ErrWrongPassphrase means that the passphrase opens none of the keyslots tried.
	ErrWrongPassphrase = errors.New("no keyslot opens with this passphrase")
	// ErrWrongKey means that a volume key is not the one that the header is for.
	ErrWrongKey = errors.New("not the volume key of this header")
	// ErrUnsupported means that a header is sound and asks for what is not done here.
	ErrUnsupported = errors.New("not supported")
	// ErrChanged means that somebody else committed a newer header meanwhile. Read
	// the header again.
	ErrChanged = errors.New("the header on disk changed meanwhile")
)

// unsupported is an error that is ErrUnsupported.
type unsupported struct{ error }

func (unsupported) Is(target error) bool { return target == ErrUnsupported }

func unsupportedf(format string, args ...any) error {
	return unsupported{fmt.Errorf(format, args...)}
}
