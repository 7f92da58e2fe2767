package definitions

import "errors"

// Keys reads the [[encryption.key]] tables alone of a text in the form of a definition,
// whatever else it says. The path is for errors.
func Keys(path, text string) ([]Key, error) {
	d, wrong := parse(path, text)
	if wrong != nil {
		return nil, wrong
	}
	set, errs := read(d)
	b := builder{loaded: &loaded{set: set}}
	keys, _, secure := b.keys()
	if secure != nil {
		b.errors = append(b.errors, b.place("encryption.key").errorf("encryption.key", "a key of type %q takes no keyslot: it says what the key of a new volume is", KeySecure))
	}
	if errs = append(errs, b.errors...); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}
