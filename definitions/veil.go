package definitions

import (
	"regexp"
	"strings"
)

// Whoever takes a key source for the secret itself writes the secret into the definition.
// What such a key has, and does not read as a place, is shown nowhere.
var (
	secretKey   = regexp.MustCompile(`\b(?:pin\w*|existing_key\w*|path|pass\w+)["']?\s*=\s*("[^"]*"?|'[^']*'?|[^\s,}\]]+|\[[^\]]*\]?)`)
	secretPlace = regexp.MustCompile(`^["']?(?:file:/|socket:/|credential:|fd:[0-9]+["']?$|ask["']?$|/|-["']?$)`)
)

// veil stands for what is not shown.
const veil = "***"

// veiled hides in a line what may be a secret. The bytes [start, end) of the line are
// somewhere else in the new one.
func veiled(line string, start, end int) (string, int, int) {
	all := secretKey.FindAllStringSubmatchIndex(line, -1)
	for i := len(all) - 1; i >= 0; i-- {
		from, to := all[i][2], all[i][3]
		if secretPlace.MatchString(line[from:to]) {
			continue
		}
		line = line[:from] + veil + line[to:]
		start, end = behind(start, from, to), behind(end, from, to)
	}
	return line, start, max(start, end)
}

// behind returns where a byte is once those of [from, to) are the veil.
func behind(at, from, to int) int {
	switch {
	case at <= from:
		return at
	case at < to:
		return from + len(veil)
	}
	return at - (to - from) + len(veil)
}

// withoutSecrets hides in a message what its line has and may be a secret.
func withoutSecrets(message, line string) string {
	for _, m := range secretKey.FindAllStringSubmatch(line, -1) {
		if value := strings.Trim(m[1], `"'[] `); len(value) > 0 && !secretPlace.MatchString(m[1]) {
			message = strings.ReplaceAll(message, value, veil)
		}
	}
	return message
}
