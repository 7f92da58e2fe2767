package mkfs

import (
	"strings"
	"unicode/utf8"
)

// shorten cuts label to at most n bytes, at the end of a character.
func shorten(label string, n int) string {
	if len(label) <= n {
		return label
	}
	for n > 0 && !utf8.RuneStart(label[n]) {
		n--
	}
	return label[:n]
}

// vfatLabel turns label into the eleven capital letters, digits and signs that FAT
// has for it. What has no place there becomes "_".
func vfatLabel(label string) string {
	label = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"*+,./:;<=>?[\]|`, r) {
			return '_'
		}
		return r
	}, strings.ToUpper(label))
	return shorten(label, 11)
}
