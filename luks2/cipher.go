package luks2

import (
	"fmt"
	"slices"
	"strings"
)

// ciphers are those that a volume may be opened with, in dm-crypt's words: what
// cryptsetup makes or made, and what the kernel has for machines without AES
// instructions and for secure keys. A name reaches the kernel's table as it stands, so
// nothing else ever does.
var ciphers = slices.Concat(
	[]string{
		"xchacha12,aes-adiantum-plain64", "xchacha20,aes-adiantum-plain64", "aes-hctr2-plain64",
		"paes-xts-plain64", "paes-cbc-essiv:paes", "aes-lrw-benbi", "aes-cbc-benbi", "aes-xts-plain64be", "aes-xts-essiv:sha256",
	},
	modes("aes"), modes("serpent"), modes("twofish"), modes("camellia"),
)

// modes returns a block cipher in the modes that volumes use.
func modes(block string) []string {
	return []string{block + "-xts-plain64", block + "-xts-plain", block + "-cbc-essiv:sha256", block + "-cbc-plain64", block + "-cbc-plain"}
}

// checkCipherName refuses a cipher that encrypts nothing, and text that is no cipher's
// name: it would reach the kernel's table, and the terminal.
func checkCipherName(what string, id int, name string) error {
	switch {
	case strings.Contains(strings.ToLower(name), "null"):
		return fmt.Errorf("%s %d is under the cipher %.40q, which encrypts nothing", what, id, name)
	case len(name) > maxDigestString || strings.Trim(name, cipherLetters) != "":
		return fmt.Errorf("%s %d: %.70q is no name of a cipher", what, id, name)
	}
	return nil
}

// cipherLetters are those of dm-crypt's names.
const cipherLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:,.()"
