package definitions

import (
	"strconv"
	"strings"
)

// CommandTimeout is how long a try of a key module may take, in seconds, where nothing
// else is said.
const CommandTimeout = 30

// Bounds of what a definition may say of a key module.
const (
	maxTimeout   = 3600
	maxRetries   = 100
	maxArguments = 64
)

// keyModule sets what a command key is.
func (b *builder) keyModule(k *Key, at place, set settings) {
	if k.Type != KeyCommand {
		return
	}
	program, s, ok := value[string](set, "program")
	if !ok {
		b.missing(at, "encryption.key.program").hint(`say which: program = "/usr/lib/sealpart/modules/NAME"`)
		return
	}
	if err := checkPath(program); err != nil {
		b.fail(s, "%v", err)
	}
	arguments, s, _ := value[[]string](set, "arguments")
	if len(arguments) > maxArguments {
		b.fail(s, "has %d arguments, more than %d", len(arguments), maxArguments)
	}
	for i, argument := range arguments {
		if err := checkPlain(argument); err != nil {
			b.failItem(s, i, "%v", err)
		}
	}
	k.Program, k.Arguments = program, arguments
	k.Timeout = CommandTimeout
	if text, s, ok := value[string](set, "timeout"); ok {
		if k.Timeout = seconds(text); k.Timeout < 1 || k.Timeout > maxTimeout {
			b.fail(s, "is %q: want from 1s to %ds, such as \"30s\" or \"2min\"", text, maxTimeout)
		}
	}
	k.Retries = int(b.numberIn(set, "retries", 0, maxRetries, 0))
}

// seconds returns how many a text such as "30s" or "2min" says, 0 for what is none.
func seconds(text string) int {
	unit := 1
	number, ok := strings.CutSuffix(text, "s")
	if !ok {
		number, ok = strings.CutSuffix(text, "min")
		unit = 60
	}
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n > maxTimeout {
		return 0
	}
	return n * unit
}
