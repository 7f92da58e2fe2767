package luks2

import (
	_ "unsafe" // go:linkname

	_ "golang.org/x/crypto/argon2" // has the compression function, in assembly where there is one
)

// argon2Block is what Argon2 works in, 1024 bytes.
type argon2Block [argon2Words]uint64

// argon2Compress sets out to out XOR G(a, b) (RFC 9106, section 3.5). The package argon2
// does not offer it; should it ever go there, this does not link, and TestArgon2Vectors
// says so if it changes.
//
//go:linkname argon2Compress golang.org/x/crypto/argon2.processBlockXOR
func argon2Compress(out, a, b *argon2Block)
