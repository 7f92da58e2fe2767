package definitions

import (
	"slices"
	"strings"
)

// conditions builds the [conditions] table.
func (b *builder) conditions() *Conditions {
	return &Conditions{
		SecureBoot:        pointer[bool](b.set, "conditions.secure_boot"),
		TPM2:              pointer[bool](b.set, "conditions.tpm2"),
		FirstBoot:         pointer[bool](b.set, "conditions.first_boot"),
		Firmware:          b.conditionOneOf("firmware", firmwares),
		Architecture:      b.conditionOneOf("architecture", architectures),
		Virtualization:    b.conditionOneOf("virtualization", virtualizations),
		KernelCommandLine: b.condition("kernel_command_line", func(string) error { return nil }),
		PathExists:        b.condition("path_exists", checkPath),
	}
}

// condition returns a text that a "!" in front turns around, "" where it is not set.
func (b *builder) condition(name string, check func(string) error) string {
	text, s, ok := value[string](b.set, "conditions."+name)
	if !ok {
		return ""
	}
	bare := strings.TrimPrefix(text, "!")
	if strings.TrimSpace(bare) == "" {
		b.fail(s, "must not be empty")
	} else if err := check(bare); err != nil {
		b.fail(s, "%v", err)
	}
	return text
}

// conditionOneOf is condition for a word of a list.
func (b *builder) conditionOneOf(name string, words choice) string {
	return b.condition(name, func(bare string) error {
		if !slices.Contains(words.ready, bare) {
			_, s, _ := value[string](b.set, "conditions."+name)
			b.checkWord(s, 0, bare, words)
		}
		return nil
	})
}
