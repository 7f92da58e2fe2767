package definitions

import (
	"fmt"
	"reflect"
	"slices"
)

// maxKeys is how many keys a volume can have: LUKS2 has 32 keyslots, and one of
// them is the conversion's while it runs.
const maxKeys = 31

// encryption builds the [encryption] table.
func (b *builder) encryption() *Encryption {
	e := &Encryption{
		Existing:    b.oneOf(b.set, "encryption.existing", existings, ExistingKeep),
		ExistingKey: b.keySource("encryption.existing_key"),
		HeaderRoom:  b.headerRoom(),
		HeaderSize:  b.headerSize(),
		FreeSpace:   b.oneOf(b.set, "encryption.free_space", freeSpaces, FreeEncrypt),
		Trailing:    b.oneOf(b.set, "encryption.trailing", trailings, TrailingRefuse),
		Unavailable: b.oneOf(b.set, "encryption.unavailable", unusables, UnavailableFail),
		Label:       b.volumeLabel(),
		Cipher:      b.oneOf(b.set, "encryption.cipher", ciphers, ""),
		KeyBits:     int(b.number("encryption.key_bits", 1, maxKeyBits, 0)),
		SectorSize:  b.sectorSize("encryption.sector_size"),
	}
	e.Keys, e.Places, e.SecureKey = b.keys()
	if e.Cipher == "" {
		e.Cipher = e.cipherOfKey()
	}
	e.HeaderBackup, e.HeaderBackupIn = b.headerBackup()
	return e
}

// keys builds the [[encryption.key]] tables: those of keyslots, and the one that says what
// the volume key is.
func (b *builder) keys() ([]Key, []Places, *SecureKey) {
	tables, s, _ := value[[]settings](b.set, "encryption.key")
	if len(tables) == 0 {
		at := b.place("encryption")
		if s.path != "" {
			at = s.at
		}
		b.errors = append(b.errors, at.errorf("encryption.key", "[encryption] has no key").
			hint("add [[encryption.key]] with a type: without one nobody could open the volume"))
	}
	var keys []Key
	var places []Places
	var secure *SecureKey
	for i, table := range tables {
		if kind, _, _ := value[string](relative(table), "type"); kind == KeySecure {
			secure = b.secureKey(s.items[i], relative(table), secure)
			continue
		}
		k := b.key(s.items[i], table)
		if slices.ContainsFunc(keys, k.twin) {
			b.errors = append(b.errors, s.items[i].errorf("encryption.key", "this [[encryption.key]] is the same as one before it"))
		}
		keys, places = append(keys, k), append(places, placesOf(table))
	}
	if len(keys) > maxKeys {
		b.fail(s, "has %d keys, a LUKS2 volume has room for %d", len(keys), maxKeys)
	}
	if len(keys) == 0 && secure != nil {
		b.errors = append(b.errors, s.items[0].errorf("encryption.key", "a key of type %q says what the volume key is, and nothing here opens the volume", KeySecure).
			hint("add a [[encryption.key]] of another type, such as \"file\" or \"recovery\": it guards the keyslot"))
	}
	return keys, places, secure
}

// placesOf says where the settings of a table stand.
func placesOf(table settings) Places {
	places := Places{}
	for name, s := range relative(table) {
		line, column, _ := s.at.position()
		places[name] = fmt.Sprintf("%s:%d:%d", s.at.file.path, line, column)
	}
	return places
}

// key builds one key from the table that stands at the given place.
func (b *builder) key(at place, set settings) Key {
	set = relative(set)
	k := Key{Type: b.oneOf(set, "type", keyTypes, "")}
	if _, ok := set["type"]; !ok {
		b.missing(at, "encryption.key.type").hint("it can be %s", alternatives(keyTypes.ready))
		return k
	}
	before := len(b.errors)
	b.checkFields(k.Type, set)
	k.Required, _, _ = value[bool](set, "required")
	b.tpmKey(&k, set)
	k.PIN = b.keySourceIn(set, "pin")
	k.Path = b.keyPath(k.Type, set)
	k.Offset, k.Size = b.keyPart(set)
	k.Escrow = b.escrow(set)
	b.tokenURI(&k, at, set)
	b.keyModule(&k, at, set)
	b.blank(&k, set, len(b.errors) == before)
	return k
}

// twin reports whether another key is the same but for whether it is required.
func (k Key) twin(other Key) bool {
	other.Required = k.Required
	return reflect.DeepEqual(k, other)
}

// relative gives the settings of one element the names of its keys for paths.
func relative(set settings) settings {
	named := settings{}
	for path, s := range set {
		named[lastPart(path)] = s
	}
	return named
}

// checkFields refuses fields that belong to keys of another type.
func (b *builder) checkFields(keyType string, set settings) {
	for _, name := range keyNames("encryption.key") {
		s, ok := set[name]
		owners := keyTypesFor[name]
		if ok && owners != nil && !slices.Contains(owners, keyType) && slices.Contains(keyTypes.ready, keyType) {
			b.errors = append(b.errors, s.name.errorf(s.path, "%q belongs to keys of type %s, this one is of type %q", name, alternatives(owners), keyType))
		}
	}
}
