package definitions

import (
	"fmt"
	"strings"
)

// Specifiers maps the letters of %a, %m, … to what they stand for, such as 'a' to
// "x86-64". A letter that is missing is not available on this machine; an empty
// value is a value. "%%" needs no entry.
type Specifiers map[rune]string

// The letters of all specifiers, systemd's, and of those that only a split name
// knows: its type, type UUID, UUID and number are put in when it is used.
const (
	specifierLetters = "aAbBHlmMovwW"
	splitNameLetters = "tTUn"
)

// expand replaces the specifiers of text. Those whose letter is in keep stay, with
// "%%", for a later expansion; text that is put in is then escaped for it.
func (s Specifiers) expand(text, keep string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		letter, rest, err := cutLetter(rest)
		if err != nil {
			return "", err
		}
		value, err := s.lookup(letter, keep)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = rest
	}
}

// cutLetter takes the letter behind a "%".
func cutLetter(text string) (letter rune, rest string, err error) {
	for i, r := range text {
		if i > 0 {
			return letter, text[i:], nil
		}
		letter = r
	}
	if text == "" {
		return 0, "", fmt.Errorf(`ends in a lone "%%" (write "%%%%" for a percent sign)`)
	}
	return letter, "", nil
}

// lookup returns what a letter stands for.
func (s Specifiers) lookup(letter rune, keep string) (string, error) {
	value, available := s[letter]
	switch {
	case letter == '%' && keep != "":
		return "%%", nil
	case letter == '%':
		return "%", nil
	case strings.ContainsRune(keep, letter):
		return "%" + string(letter), nil
	case !strings.ContainsRune(specifierLetters, letter):
		return "", fmt.Errorf(`has unknown specifier "%%%c" (write "%%%%" for a percent sign)`, letter)
	case !available:
		return "", fmt.Errorf(`has specifier "%%%c", which is not available here`, letter)
	case keep != "":
		return strings.ReplaceAll(value, "%", "%%"), nil
	}
	return value, nil
}
