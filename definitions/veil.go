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
var (
	anyKey    = regexp.MustCompile(`((?:["']?[\w-]+["']?\s*\.\s*)*["']?[\w-]+["']?)\s*=\s*`)
	secretKey = regexp.MustCompile(`^(?:pin\w*|existing_key\w*|path|pass\w+)$`)
	uriPIN    = regexp.MustCompile(`\bpin-value=([^\s&;"']+)`)
	// A text ends with its quote. Whatever else stands there is no value of such a key, and nobody
	// knows where it ends.
	oneText     = regexp.MustCompile(`^(?:"(?:\\.|[^"\\])*"|'[^']*')[^\s,}\]]*`)
	manyLines   = regexp.MustCompile(`^(?:"""|''')`)
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

// hasSecret reports whether the value of a key, or of a part of a dotted one, may be a secret.
func hasSecret(key string) bool {
	key = strings.Trim(key, `"' `)
	return secretKey.MatchString(key) || mistyped(key)
}

// stretch is the bytes [from, to) of a line.
type stretch struct{ from, to int }

// secretsIn returns what in a line may be a secret, from left to right.
func secretsIn(line string) (found []stretch) {
	for _, m := range anyKey.FindAllStringSubmatchIndex(line, -1) {
		if m[1] < len(line) && slices.ContainsFunc(strings.Split(line[m[2]:m[3]], "."), hasSecret) {
			found = append(found, stretch{m[1], m[1] + valueLength(line[m[1]:])})
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

// valueLength returns how long the value is that begins a text.
func valueLength(text string) int {
	if end := oneText.FindStringIndex(text); end != nil && !manyLines.MatchString(text) {
		return end[1]
	}
	return len(text)
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
		message = withoutParts(message, line[s.from:s.to])
	}
	return message
}

// withoutParts hides in a message a secret, and each part of one that nobody knows the end of.
func withoutParts(message, secret string) string {
	const least = 3 // bytes: less is in every message
	parts := strings.FieldsFunc(secret, func(r rune) bool { return strings.ContainsRune("\"'[]{}=, \t", r) })
	for _, part := range append([]string{strings.Trim(secret, `"'[]{} `)}, parts...) {
		if len(part) >= least {
			message = strings.ReplaceAll(message, part, veil)
		}
	}
	return message
}

// ends are what values begin with that may go over several lines, and what they end with.
var ends = []struct{ begin, end string }{{`"""`, `"""`}, {"'''", "'''"}, {"[", "]"}, {"{", "}"}}

// inSecret reports whether a line, before which there is this text, belongs to the value of a key
// with a secret that has begun there and not ended.
func inSecret(before string) bool {
	end := ""
	for line := range strings.Lines(before) {
		if end != "" {
			if strings.Contains(line, end) {
				end = ""
			}
			continue
		}
		line = strings.TrimRight(line, "\n")
		for _, s := range secretsIn(line) {
			for _, e := range ends {
				if rest, is := strings.CutPrefix(line[s.from:], e.begin); is && !strings.Contains(rest, e.end) {
					end = e.end
				}
			}
		}
	}
	return end != ""
}
