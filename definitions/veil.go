package definitions

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Whoever takes a key source for the secret itself writes the secret into the definition.
// What such a key has, and does not read as a place, is shown nowhere; nor is what a key has
// that is mistyped so that it may be one, nor the PIN in a URI.
const anyValue = `("[^"]*"?|'[^']*'?|[^\s,}\]]+|\[[^\]]*\]?)`

var (
	secretKey   = regexp.MustCompile(`\b(?:pin\w*|existing_key\w*|path|pass\w+)["']?\s*=\s*` + anyValue)
	anyKey      = regexp.MustCompile(`\b([\w-]+)["']?\s*=\s*` + anyValue)
	uriPIN      = regexp.MustCompile(`\bpin-value=([^\s&;"']+)`)
	secretPlace = regexp.MustCompile(`^["']?(?:file:/|socket:/|credential:|fd:[0-9]+["']?$|ask["']?$|/|-["']?$)`)
)

// mistyped reports whether a key that no table knows may be meant for one with a secret.
func mistyped(key string) bool {
	near := func(name string) bool {
		few := max(1, len(name)/4) // letters
		return len(key) <= len(name)+few && len(key) >= len(name)-few && distance(strings.ToLower(key), name) <= few
	}
	return (near("pin") || near("existing_key") || near("password") || near("passphrase")) && len(tablesWith(key)) == 0
}

// stretch is the bytes [from, to) of a line.
type stretch struct{ from, to int }

// secretsIn returns what in a line may be a secret, from left to right.
func secretsIn(line string) (found []stretch) {
	for _, m := range secretKey.FindAllStringSubmatchIndex(line, -1) {
		found = append(found, stretch{m[2], m[3]})
	}
	for _, m := range anyKey.FindAllStringSubmatchIndex(line, -1) {
		if mistyped(line[m[2]:m[3]]) {
			found = append(found, stretch{m[4], m[5]})
		}
	}
	found = slices.DeleteFunc(found, func(s stretch) bool { return secretPlace.MatchString(line[s.from:s.to]) })
	for _, m := range uriPIN.FindAllStringSubmatchIndex(line, -1) {
		found = append(found, stretch{m[2], m[3]})
	}
	slices.SortFunc(found, func(a, b stretch) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	end := 0
	return slices.DeleteFunc(found, func(s stretch) bool {
		inside := s.from < end
		end = max(end, s.to)
		return inside
	})
}

// veil stands for what is not shown.
const veil = "***"

// veiled hides in a line what may be a secret. The bytes [start, end) of the line are
// somewhere else in the new one.
func veiled(line string, start, end int) (string, int, int) {
	for _, s := range slices.Backward(secretsIn(line)) {
		line = line[:s.from] + veil + line[s.to:]
		start, end = behind(start, s.from, s.to), behind(end, s.from, s.to)
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
	for _, s := range secretsIn(line) {
		if value := strings.Trim(line[s.from:s.to], `"'[] `); len(value) > 0 {
			message = strings.ReplaceAll(message, value, veil)
		}
	}
	return message
}
