package host

import "strings"

// CommandLine is the kernel's command line, word by word. Double quotes keep a word
// together (kernel-parameters.rst).
type CommandLine []string

// ReadCommandLine reads /proc/cmdline; where it cannot be read there are no words.
func ReadCommandLine() CommandLine { return machine("/").commandLine() }

func (m machine) commandLine() CommandLine { return parseCommandLine(m.line("/proc/cmdline")) }

func parseCommandLine(text string) CommandLine {
	var words CommandLine
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range text + " " {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case strings.ContainsRune(" \t\r\n", r) && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return words
}

// Value returns what stands behind "key=". Of several the last one counts, as for the
// kernel.
func (c CommandLine) Value(key string) (value string, found bool) {
	for _, word := range c {
		if v, ok := strings.CutPrefix(word, key+"="); ok {
			value, found = v, true
		}
	}
	return value, found
}
