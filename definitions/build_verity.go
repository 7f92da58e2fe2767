package definitions

import (
	"encoding/hex"
	"strings"
)

// maxSalt is how many bytes of salt a dm-verity superblock has room for.
const maxSalt = 256

// verity builds the [verity] table.
func (b *builder) verity() *Verity {
	for _, name := range []string{"role", "match_key"} {
		if _, ok := b.set["verity."+name]; !ok {
			b.missing(b.place("verity"), "verity."+name)
		}
	}
	key, s, ok := value[string](b.set, "verity.match_key")
	if ok && strings.TrimSpace(key) == "" {
		b.fail(s, "must not be empty")
	}
	return &Verity{
		Role:          b.oneOf(b.set, "verity.role", roles, ""),
		MatchKey:      key,
		DataBlockSize: b.sectorSize("verity.data_block_size"),
		HashBlockSize: b.sectorSize("verity.hash_block_size"),
		Salt:          b.salt(),
	}
}

// salt returns the salt, nil where it is not set. "-" means none, as for
// veritysetup, and gives an empty one.
func (b *builder) salt() []byte {
	text, s, ok := value[string](b.set, "verity.salt")
	if !ok {
		return nil
	}
	if text == "-" {
		return []byte{}
	}
	salt, err := hex.DecodeString(text)
	switch {
	case err != nil:
		b.fail(s, "must be hex digits, two a byte, not %q", text).hint(`"-" means no salt`)
	case len(salt) == 0:
		b.fail(s, "must not be empty").hint(`"-" means no salt`)
	case len(salt) > maxSalt:
		b.fail(s, "is %d bytes long, dm-verity has room for %d", len(salt), maxSalt)
	}
	return salt
}
