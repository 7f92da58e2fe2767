package definitions

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// builder turns the merged settings of one definition into its fields. It goes on
// after an error, so that all of them are told at once.
type builder struct {
	Options
	*loaded
	errors []error
}

// build fills in the definition and checks it.
func (b *builder) build() {
	b.Partition = b.partition()
	b.Filesystem = b.filesystem()
	if b.has("encryption") {
		b.Encryption = b.encryption()
	}
	if b.has("verity") {
		b.Verity = b.verity()
	}
	if b.has("conditions") {
		b.Conditions = b.conditions()
	}
	if len(b.errors) == 0 {
		b.errors = checkOne(b.loaded)
	}
}

// fail notes that the value of a key is wrong; the sentence goes on after the key.
func (b *builder) fail(s setting, format string, args ...any) *Error {
	e := s.at.errorf(s.path, "%q %s", lastPart(s.path), fmt.Sprintf(format, args...))
	b.errors = append(b.errors, e)
	return e
}

// failItem is like fail, pointing at one element of an array.
func (b *builder) failItem(s setting, i int, format string, args ...any) *Error {
	if i < len(s.items) {
		s.at = s.items[i]
	}
	return b.fail(s, format, args...)
}

// missing notes that a key which must be set is not; it points at what needs it.
func (b *builder) missing(by place, key string) *Error {
	e := by.errorf(key, "%q in [%s] is not set", lastPart(key), parent(key))
	b.errors = append(b.errors, e)
	return e
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// has reports whether a key is set, or a table is there, be it empty.
func (l *loaded) has(path string) bool {
	_, ok := l.set[path]
	return ok
}

// value returns what a key is set to. The kind of the key fixes T.
func value[T any](set settings, path string) (T, setting, bool) {
	s, ok := set[path]
	if !ok {
		var none T
		return none, s, false
	}
	return s.value.(T), s, true
}

// pointer returns what a key is set to, nil where it is not set.
func pointer[T any](set settings, path string) *T {
	v, _, ok := value[T](set, path)
	if !ok {
		return nil
	}
	return &v
}

// number returns a number in a range, and a default where it is not set.
func (b *builder) number(path string, low, high, otherwise int64) int64 {
	return b.numberIn(b.set, path, low, high, otherwise)
}

// numberIn is that of some settings.
func (b *builder) numberIn(set settings, path string, low, high, otherwise int64) int64 {
	v, s, ok := value[int64](set, path)
	if !ok {
		return otherwise
	}
	if err := inRange(v, low, high); err != nil {
		b.fail(s, "%v", err)
	}
	return v
}

// text returns a string with its specifiers expanded, "" where it is not set.
func (b *builder) text(path string) (string, setting) {
	v, s, ok := value[string](b.set, path)
	if !ok {
		return "", s
	}
	return b.expand(s, 0, v), s
}

// expand replaces the specifiers of one text of a key that has them.
func (b *builder) expand(s setting, i int, text string) string {
	k, _ := findKey(trimIndex(parent(s.path)), lastPart(s.path))
	if !k.specifiers {
		return text
	}
	return b.expandBy(b.Specifiers, s, i, text)
}

// expandBy replaces specifiers of one text by what others than the usual say.
func (b *builder) expandBy(by Specifiers, s setting, i int, text string) string {
	expanded, err := by.Expand(text)
	if err == nil {
		err = checkPlain(expanded)
	}
	if err != nil {
		b.failItem(s, i, "%v", err)
		return text
	}
	return expanded
}

// oneOf returns a word of a choice, and a default where it is not set.
func (b *builder) oneOf(set settings, path string, c choice, otherwise string) string {
	v, s, ok := value[string](set, path)
	if !ok {
		return otherwise
	}
	b.checkWord(s, 0, v, c)
	return v
}

// checkWord refuses a word that is not among the built ones of a choice.
func (b *builder) checkWord(s setting, i int, word string, c choice) {
	switch {
	case slices.Contains(c.ready, word):
	case slices.Contains(c.later, word):
		b.failItem(s, i, "is %q, which is not built yet", word)
	default:
		e := b.failItem(s, i, "cannot be %q", word).hint("%s", didYouMean(word, slices.Concat(c.ready, c.later)))
		if e.Hint == "" {
			e.hint("it can be %s", alternatives(c.ready))
		}
	}
}

// alternatives lists words as in `"a", "b" or "c"`.
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// uuid returns a UUID, nil where it is not set; "null" is the nil UUID.
func (b *builder) uuid(path string) *uuid.UUID {
	v, s, ok := value[string](b.set, path)
	if !ok {
		return nil
	}
	if v == "null" {
		return new(uuid.UUID)
	}
	u, err := uuid.Parse(v)
	if err != nil || len(v) != len(uuid.Nil.String()) && len(v) != 32 {
		b.fail(s, `must be a UUID or "null", not %q`, v)
	}
	return &u
}

// size returns a size rounded with the given function, nil where it is not set.
func (b *builder) size(path string, round func(disk.Bytes, disk.Bytes) disk.Bytes) *disk.Bytes {
	const grain = 4 * disk.KiB
	v := pointer[disk.Bytes](b.set, path)
	if v != nil {
		*v = round(*v, grain)
	}
	return v
}

// sectorSize returns a power of two from 512 to 4096, 0 where it is not set.
func (b *builder) sectorSize(path string) disk.Bytes {
	v, s, ok := value[disk.Bytes](b.set, path)
	if ok && !slices.Contains([]disk.Bytes{512, 1024, 2048, 4096}, v) {
		b.fail(s, "must be 512, 1024, 2048 or 4096, not %d", int64(v))
	}
	return v
}

// checkPath refuses what is no absolute path, or climbs out of where it points.
func checkPath(p string) error {
	switch {
	case !path.IsAbs(p):
		return fmt.Errorf("must be an absolute path, not %q", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		return fmt.Errorf(`has ".." in path %q`, p)
	}
	return nil
}
