package definitions

import (
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// encryptionRules lists the ways in which an [encryption] table can contradict
// itself. They are given only definitions that have one.
var encryptionRules = []rule{
	cipherOfKey, lengthOfKey, keyForKept, keylessRekey, roomForKept, discardForKept, trailingForKept, detachedLast, narrowHeader,
}

// cipherOfKey refuses a cipher that does not take the volume key.
func cipherOfKey(d *Definition) (key, message string) {
	switch e := d.Encryption; {
	case e.Cipher == e.cipherOfKey():
		return "", ""
	case e.SecureKey != nil:
		return "encryption.cipher", fmt.Sprintf(`"cipher" is %q, and with a key of type %q it can only be %q`, e.Cipher, KeySecure, CipherSecure)
	default:
		return "encryption.cipher", fmt.Sprintf(`"cipher" is %q, which takes a [[encryption.key]] of type %q`, e.Cipher, KeySecure)
	}
}

// lengthOfKey refuses a length that the volume key does not have.
func lengthOfKey(d *Definition) (key, message string) {
	e := d.Encryption
	if e.KeyBits == 0 || e.KeyBits == e.keyBits() {
		return "", ""
	}
	of := e.Cipher
	if e.SecureKey != nil {
		of = e.SecureKey.KeyType
	}
	return "encryption.key_bits", fmt.Sprintf(`"key_bits" is %d, and with %s it can only be %d`, e.KeyBits, of, e.keyBits())
}

// keyForKept refuses a key for volumes that nothing opens.
func keyForKept(d *Definition) (key, message string) {
	e := d.Encryption
	if e.ExistingKey == "" || e.Existing == ExistingEnroll || e.Existing == ExistingRekey {
		return "", ""
	}
	return "encryption.existing_key", fmt.Sprintf(`"existing_key" opens volumes for existing = %q or %q, and it is %q`, ExistingEnroll, ExistingRekey, e.Existing)
}

// keylessRekey refuses a rekey without the key that is to go. (Enrolling can do
// without: a key of the definition that is there already opens the volume too.)
func keylessRekey(d *Definition) (key, message string) {
	if e := d.Encryption; e.Existing != ExistingRekey || e.ExistingKey != "" {
		return "", ""
	}
	return "encryption.existing", fmt.Sprintf(`existing = %q wants "existing_key": how to open the volume now`, ExistingRekey)
}

func roomForKept(d *Definition) (key, message string) {
	return convertOnly(d, d.Encryption.HeaderRoom != nil, "header_room")
}

func discardForKept(d *Definition) (key, message string) {
	return convertOnly(d, d.Encryption.FreeSpace == FreeDiscard, "free_space")
}

func trailingForKept(d *Definition) (key, message string) {
	return convertOnly(d, d.Encryption.Trailing == TrailingDiscard, "trailing")
}

// convertOnly refuses what only a conversion of a plain partition goes by.
func convertOnly(d *Definition, set bool, name string) (key, message string) {
	if !set || d.Encryption.Existing == ExistingConvert {
		return "", ""
	}
	return "encryption." + name, fmt.Sprintf(`%q is for existing = %q, and it is %q`, name, ExistingConvert, d.Encryption.Existing)
}

// detachedLast refuses rooms after a detached header: it always has room, so they
// would never be used.
func detachedLast(d *Definition) (key, message string) {
	rooms := d.Encryption.HeaderRoom
	for i, room := range rooms {
		if strings.HasPrefix(room, RoomDetached) && i != len(rooms)-1 {
			return "encryption.header_room", fmt.Sprintf("%q always has room: it must come last", room)
		}
	}
	return "", ""
}

// narrowHeader refuses a header that has no room for its keyslots. While a volume
// is rekeyed the new keyslots stand beside the old ones.
func narrowHeader(d *Definition) (key, message string) {
	e := d.Encryption
	slots := len(e.Keys)
	if e.Existing == ExistingRekey {
		slots *= 2
	}
	need := headerCopies + disk.Bytes(slots)*e.keyslotSize() + conversionArea
	if e.HeaderSize == 0 || e.HeaderSize >= need {
		return "", ""
	}
	return "encryption.header_size", fmt.Sprintf(`"header_size" is %d, and %d keyslots take %d`, int64(e.HeaderSize), slots, int64(need))
}
