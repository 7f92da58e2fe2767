package host

import "strings"

// parseOSRelease reads os-release(5): assignments in the shell's syntax, one a line,
// with its quotes and without its expansions. Lines that are no assignment are
// passed over, as by everybody.
func parseOSRelease(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") {
			fields[name] = unquote(value)
		}
	}
	return fields
}

// unquote takes the shell's quotes and backslashes off a value.
func unquote(value string) string {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(value):
			i++
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(value[i])) {
				b.WriteByte('\\') // in double quotes it escapes these four only
			}
			b.WriteByte(value[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
