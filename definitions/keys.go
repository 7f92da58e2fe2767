package definitions

import "slices"

// kind is the type of a key's value, as TOML types with what we read into them.
type kind string

// The kinds, in the words that errors use for them.
const (
	kindText    kind = `a string`
	kindTexts   kind = `a string or an array of strings`
	kindNumber  kind = `an integer`
	kindPCRs    kind = `an array of PCR numbers, each bare or as in "7:sha256=HEX"`
	kindBoolean kind = `true or false`
	kindSize    kind = `a size such as "2G", or bytes as an integer`
	kindFlags   kind = `an integer, or a string such as "0x8000000000000000"`
	kindTable   kind = `a table`
	kindTables  kind = `an array of tables`
)

// built reports whether the work behind a key is there. A key that is not built is
// refused by name, never ignored.
type built bool

const (
	ready built = true
	later built = false
)

// known is one key that definitions may hold.
type known struct {
	table string // "partition", "encryption.key", …
	name  string
	kind  kind
	built built
	// specifiers is set where %a and the like are expanded.
	specifiers bool
}

// path is the key's path as in errors, "partition.size_min".
func (k known) path() string { return k.table + "." + k.name }

// tables lists the tables of a definition.
var tables = []string{"partition", "filesystem", "encryption", "verity", "conditions"}

// keys lists every key of a definition: what it takes, and whether it is built.
var keys = []known{
	{"partition", "type", kindText, ready, false},
	{"partition", "label", kindText, ready, true},
	{"partition", "uuid", kindText, ready, false},
	{"partition", "size_min", kindSize, ready, false},
	{"partition", "size_max", kindSize, ready, false},
	{"partition", "weight", kindNumber, ready, false},
	{"partition", "priority", kindNumber, ready, false},
	{"partition", "padding_min", kindSize, ready, false},
	{"partition", "padding_max", kindSize, ready, false},
	{"partition", "padding_weight", kindNumber, ready, false},
	{"partition", "read_only", kindBoolean, ready, false},
	{"partition", "no_auto", kindBoolean, ready, false},
	{"partition", "grow_file_system", kindBoolean, ready, false},
	{"partition", "flags", kindFlags, ready, false},
	{"partition", "factory_reset", kindBoolean, ready, false},
	{"partition", "split_name", kindText, ready, true},
	{"partition", "mount_point", kindTexts, ready, true},
	{"partition", "supplement_for", kindText, ready, false},
	{"partition", "match", kindTable, ready, false},
	{"partition.match", "label", kindText, ready, true},
	{"partition.match", "uuid", kindText, ready, false},
	{"partition.match", "filesystem", kindText, ready, false},

	{"filesystem", "format", kindText, ready, false},
	{"filesystem", "label", kindText, ready, true},
	{"filesystem", "copy_files", kindTexts, ready, true},
	{"filesystem", "copy_blocks", kindText, ready, true},
	{"filesystem", "exclude_files", kindTexts, later, true},
	{"filesystem", "exclude_files_target", kindTexts, later, true},
	{"filesystem", "make_directories", kindTexts, later, true},
	{"filesystem", "make_symlinks", kindTexts, later, true},
	{"filesystem", "subvolumes", kindTexts, later, false},
	{"filesystem", "default_subvolume", kindText, later, false},
	{"filesystem", "minimize", kindText, later, false},
	{"filesystem", "compression", kindText, later, false},
	{"filesystem", "compression_level", kindText, later, false},
	{"filesystem", "sector_size", kindSize, later, false},

	{"encryption", "existing", kindText, ready, false},
	{"encryption", "existing_key", kindText, ready, false},
	{"encryption", "header_room", kindTexts, ready, false},
	{"encryption", "header_size", kindSize, ready, false},
	{"encryption", "header_backup", kindText, ready, false},
	{"encryption", "free_space", kindText, ready, false},
	{"encryption", "trailing", kindText, ready, false},
	{"encryption", "cipher", kindText, ready, false},
	{"encryption", "key_bits", kindNumber, ready, false},
	{"encryption", "sector_size", kindSize, ready, false},
	{"encryption", "label", kindText, ready, true},
	{"encryption", "discard", kindBoolean, later, false},
	{"encryption", "integrity", kindText, later, false},
	{"encryption", "unavailable", kindText, ready, false},
	{"encryption", "online", kindBoolean, later, false},
	{"encryption", "key", kindTables, ready, false},

	{"encryption.key", "type", kindText, ready, false},
	{"encryption.key", "required", kindBoolean, ready, false},
	{"encryption.key", "priority", kindNumber, later, false},
	{"encryption.key", "pcrs", kindPCRs, ready, false},
	{"encryption.key", "bank", kindText, ready, false},
	{"encryption.key", "public_key", kindText, ready, false},
	{"encryption.key", "public_key_pcrs", kindPCRs, ready, false},
	{"encryption.key", "pcrlock", kindText, ready, false},
	{"encryption.key", "pin", kindText, ready, false},
	{"encryption.key", "srk", kindText, ready, false},
	{"encryption.key", "device_key", kindText, ready, false},
	{"encryption.key", "format", kindText, ready, false},
	{"encryption.key", "blank", kindText, ready, false},
	{"encryption.key", "uri", kindText, ready, false},
	{"encryption.key", "module", kindText, ready, false},
	{"encryption.key", "key_sha256", kindText, ready, false},
	{"encryption.key", "provision", kindBoolean, ready, false},
	{"encryption.key", "escrow", kindTexts, ready, false},
	{"encryption.key", "path", kindText, ready, false},
	{"encryption.key", "offset", kindSize, ready, false},
	{"encryption.key", "size", kindSize, ready, false},
	{"encryption.key", "program", kindText, ready, false},
	{"encryption.key", "arguments", kindTexts, ready, false},
	{"encryption.key", "timeout", kindText, ready, false},
	{"encryption.key", "retries", kindNumber, ready, false},
	{"encryption.key", "key_type", kindText, ready, false},
	{"encryption.key", "apqns", kindTexts, ready, false},
	{"encryption.key", "repository", kindText, ready, false},

	{"verity", "role", kindText, ready, false},
	{"verity", "match_key", kindText, ready, false},
	{"verity", "data_block_size", kindSize, ready, false},
	{"verity", "hash_block_size", kindSize, ready, false},
	{"verity", "salt", kindText, ready, false},

	{"conditions", "secure_boot", kindBoolean, ready, false},
	{"conditions", "tpm2", kindBoolean, ready, false},
	{"conditions", "kernel_command_line", kindText, ready, false},
	{"conditions", "firmware", kindText, ready, false},
	{"conditions", "architecture", kindText, ready, false},
	{"conditions", "virtualization", kindText, ready, false},
	{"conditions", "path_exists", kindText, ready, false},
	{"conditions", "first_boot", kindBoolean, ready, false},
}

// choice is the words that a key takes: those that are built, and those to come.
type choice struct{ ready, later []string }

// The keys that take one word of a list.
var (
	formats     = choice{[]string{"ext4", "vfat", "swap"}, []string{"btrfs", "xfs", "f2fs", "erofs", "squashfs", "empty"}}
	existings   = choice{[]string{ExistingKeep, ExistingConvert, ExistingEnroll, ExistingRekey}, nil}
	rooms       = choice{[]string{RoomGap, RoomGrow, RoomShrink, RoomDetached + "PATH"}, nil}
	freeSpaces  = choice{[]string{FreeEncrypt, FreeDiscard}, nil}
	trailings   = choice{[]string{TrailingRefuse, TrailingDiscard}, nil}
	unusables   = choice{[]string{UnavailableFail, UnavailableLeave}, nil}
	ciphers     = choice{[]string{CipherClear, CipherSecure}, nil}
	keyTypes    = choice{[]string{KeyTPM2, KeyPKCS11, KeyFile, KeyRecovery, KeyCommand, KeySecure}, nil}
	secureTypes = choice{[]string{"CCA-AESCIPHER", "CCA-AESDATA"}, []string{"EP11-AES"}}
	pairs       = choice{[]string{PairRSA2048, PairP256}, nil}
	banks       = choice{[]string{"sha1", "sha256", "sha384", "sha512"}, nil}
	tokenForms  = choice{[]string{FormatAuto, FormatWidest, FormatNewest}, nil}
	blankWords  = choice{[]string{BlankRefuse, BlankAllow}, nil}
	roles       = choice{[]string{VerityData, VerityHash}, []string{"signature"}}
	firmwares   = choice{[]string{"uefi", "device-tree", "bios"}, nil}
	// The words of ConditionArchitecture and ConditionVirtualization in
	// systemd.unit(5) and systemd-detect-virt(1), where sealpart runs or can tell.
	architectures   = choice{[]string{"x86", "x86-64", "arm", "arm64", "loongarch64", "mips-le", "mips64-le", "ppc64", "ppc64-le", "riscv64", "s390x"}, nil}
	virtualizations = choice{[]string{
		"yes", "no", "vm", "container", "kvm", "amazon", "qemu", "vmware", "oracle", "xen", "bochs", "parallels", "bhyve", "microsoft",
		"apple", "google", "uml", "vm-other", "systemd-nspawn", "lxc", "lxc-libvirt", "docker", "podman", "wsl", "rkt", "openvz", "proot", "pouch",
	}, nil}
	// keyTypesFor says which types of key a field is for; those not listed are for all.
	keyTypesFor = map[string][]string{
		"pcrs": {KeyTPM2}, "bank": {KeyTPM2}, "public_key": {KeyTPM2}, "public_key_pcrs": {KeyTPM2}, "pcrlock": {KeyTPM2},
		"srk": {KeyTPM2}, "device_key": {KeyTPM2}, "format": {KeyTPM2}, "blank": {KeyTPM2}, "pin": {KeyTPM2, KeyPKCS11}, "path": {KeyFile, KeyRecovery}, "escrow": {KeyRecovery},
		"offset": {KeyFile}, "size": {KeyFile},
		"uri": {KeyPKCS11}, "module": {KeyPKCS11}, "key_sha256": {KeyPKCS11}, "provision": {KeyPKCS11},
		"program": {KeyCommand}, "arguments": {KeyCommand}, "timeout": {KeyCommand}, "retries": {KeyCommand},
		"required": {KeyTPM2, KeyPKCS11, KeyFile, KeyRecovery, KeyCommand},
		"key_type": {KeyPKCS11, KeySecure}, "apqns": {KeySecure}, "repository": {KeySecure},
	}
)

// findKey returns the key with the given name in a table.
func findKey(table, name string) (known, bool) {
	i := slices.IndexFunc(keys, func(k known) bool { return k.table == table && k.name == name })
	if i < 0 {
		return known{}, false
	}
	return keys[i], true
}

// keyNames lists the keys of a table.
func keyNames(table string) []string {
	var names []string
	for _, k := range keys {
		if k.table == table {
			names = append(names, k.name)
		}
	}
	return names
}

// tablesWith lists the tables that know a key of the given name.
func tablesWith(name string) []string {
	var found []string
	for _, k := range keys {
		if k.name == name {
			found = append(found, k.table)
		}
	}
	return found
}
