package key

import "errors"

// ErrAbsent says that what guards a key is not on this machine: there is no TPM, no
// token, no module, no key file. What is there and refuses is another thing.
var ErrAbsent = errors.New("it is not on this machine")

// Absent returns an error that says what err says, and is ErrAbsent too.
func Absent(err error) error { return absentError{err} }

type absentError struct{ error }

// Unwrap returns the error that Absent was given.
func (e absentError) Unwrap() error { return e.error }

// Is reports whether target is ErrAbsent.
func (e absentError) Is(target error) bool { return target == ErrAbsent }
