package definitions

import (
	"fmt"
	"strings"
)

// Specifiers maps the letters of %a, %m, … to what they stand for, such as 'a' to
// "x86-64". A letter that is missing is not available on this machine; an empty
// value is a value. "%%" needs no entry.
type Specifiers map[rune]string

// specifierLetters are the letters of all specifiers, systemd's.
const specifierLetters = "aAbBHlmMovwW"

// Expand replaces the specifiers of text.
func (s Specifiers) Expand(text string) (string, error) {
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
		value, err := s.lookup(letter)
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
func (s Specifiers) lookup(letter rune) (string, error) {
	value, available := s[letter]
	switch {
	case available:
		return value, nil
	case letter == '%':
		return "%", nil
	case strings.ContainsRune(specifierLetters, letter):
		return "", fmt.Errorf(`has specifier "%%%c", which is not available here`, letter)
	}
	return "", fmt.Errorf(`has unknown specifier "%%%c" (write "%%%%" for a percent sign)`, letter)
}

// keeping returns specifiers that leave those of the given letters, and "%%", as they
// are, for a second expansion.
func (s Specifiers) keeping(letters string) Specifiers {
	kept := Specifiers{'%': "%%"}
	for letter, value := range s {
		kept[letter] = strings.ReplaceAll(value, "%", "%%")
	}
	for _, letter := range letters {
		kept[letter] = "%" + string(letter)
	}
	return kept
}
