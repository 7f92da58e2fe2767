package definitions

import (
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Definition is one *.toml file with its drop-ins: what a partition should be.
type Definition struct {
	Name       string   // file name without ".toml", e.g. "20-root"
	File       string   // path of the main file
	DropIns    []string // paths of the drop-ins, in the order they were applied
	Partition  Partition
	Filesystem Filesystem
	Encryption *Encryption // nil: not encrypted
	Verity     *Verity     // nil: no part of a verity set
	Conditions *Conditions // nil: none
}

// Partition is the [partition] table. A nil pointer means "not set".
type Partition struct {
	Type           disk.Type
	Label          string      // specifiers expanded; at most 36 UTF-16 units; "" means derived
	UUID           *uuid.UUID  // nil: derived from the seed; uuid.Nil: "null"
	SizeMin        *disk.Bytes // this and PaddingMin rounded down to 4096
	SizeMax        *disk.Bytes // this and PaddingMax rounded up to 4096, not 0
	PaddingMin     *disk.Bytes
	PaddingMax     *disk.Bytes
	Weight         uint32 // 0…1000000, default 1000
	PaddingWeight  uint32 // 0…1000000, default 0
	Priority       int32  // default 0; above 0 may be dropped when space is short
	Flags          uint64
	NoAuto         *bool
	ReadOnly       *bool
	GrowFileSystem *bool
	FactoryReset   bool
	SplitName      string // template for planner.Row.SplitPath; "": "%t"; SplitOff: none
	MountPoints    []MountPoint
	SupplementFor  string // name of another definition
	Match          Match
}

// SplitOff is the split_name of a partition that apply --split leaves out.
const SplitOff = "-"

// MountPoint is where the file system of a partition belongs in the tree of the
// system that is on the disk.
type MountPoint struct {
	Path    string // absolute and clean
	Options string // as in fstab(5), "" for none
}

// Match narrows which existing partition a definition takes, beyond its type.
// Empty fields match anything.
type Match struct {
	Label      string
	UUID       *uuid.UUID
	Filesystem string // Content.Kind
}

// Filesystem is the [filesystem] table; it applies when the partition is created.
type Filesystem struct {
	Format     string // "ext4", "vfat", "swap"; "" means not set
	Label      string // "" means the partition's label
	CopyFiles  []CopyFile
	CopyBlocks string // absolute path of a file or device, "" means none
}

// CopyFile copies Source (a path on the host, below --root) to Target inside the
// new file system. Both are absolute and free of "..".
type CopyFile struct {
	Source string
	Target string
}

// Encryption is the [encryption] table.
type Encryption struct {
	Existing    string     // ExistingKeep, …
	ExistingKey string     // key source that opens the volume to enroll or rekey; "": not set
	HeaderRoom  []string   // in order of preference: RoomGap, … or RoomDetached and a path; nil: not set
	HeaderSize  disk.Bytes // where the encrypted data starts; 0 means 16 MiB
	// HeaderBackup is the absolute path of a file for a copy of the finished header, ""
	// for none; below HeaderBackupIn, a partition by number, label or type, where that
	// is set.
	HeaderBackup, HeaderBackupIn string
	FreeSpace                    string     // FreeEncrypt or FreeDiscard
	Trailing                     string     // TrailingRefuse or TrailingDiscard
	Unavailable                  string     // UnavailableFail or UnavailableLeave
	Label                        string     // of the LUKS2 volume, at most 47 bytes; "": derived
	Cipher                       string     // CipherClear, or with a SecureKey CipherSecure
	SectorSize                   disk.Bytes // 512…4096, 0 means chosen by the planner
	KeyBits                      int        // of the volume key, 0 means as the cipher has it
	SecureKey                    *SecureKey // what the volume key is; nil: random bytes
	Keys                         []Key      // at least one
	Places                       []Places   // of the settings of each of Keys; nil where nobody knows
}

// Places says where settings stand, as FILE:LINE:COLUMN, by their names.
type Places map[string]string

// DetachedHeader returns the path of the file that takes the header where it has
// no room on the disk, "" where the definition names none.
func (e *Encryption) DetachedHeader() string {
	for _, room := range e.HeaderRoom {
		if path, ok := strings.CutPrefix(room, RoomDetached); ok {
			return path
		}
	}
	return ""
}

// What to do with a matching partition that is already there.
const (
	ExistingKeep    = "keep"    // leave its content alone
	ExistingConvert = "convert" // plaintext to LUKS2, in place
	ExistingEnroll  = "enroll"  // LUKS2: add the keys that are missing
	ExistingRekey   = "rekey"   // LUKS2: another volume key, and only the definition's keys
)

// Where room for the LUKS2 header comes from.
const (
	RoomGap      = "gap"       // free space before the partition
	RoomGrow     = "grow"      // free space behind it
	RoomShrink   = "shrink"    // its file system is made smaller
	RoomDetached = "detached:" // followed by the path of a file that takes the header
)

// What becomes of the blocks that a converted file system does not use.
const (
	FreeEncrypt = "encrypt" // they are encrypted like the others
	FreeDiscard = "discard" // they are discarded, or zeroed
)

// What to do where something lies between the end of a file system that is converted and the
// end of its partition.
const (
	TrailingRefuse  = "refuse"
	TrailingDiscard = "discard" // it is overwritten
)

// What to do when none of the keys can be used on this machine.
const (
	UnavailableFail  = "fail"
	UnavailableLeave = "leave" // the partition as it is
)

// The kinds of key.
const (
	KeyTPM2     = "tpm2"
	KeyPKCS11   = "pkcs11"
	KeyCommand  = "command"
	KeyFile     = "file"
	KeyRecovery = "recovery"
)

// The kinds of key pair that a token is provisioned with.
const (
	PairRSA2048 = "rsa2048"
	PairP256    = "p256"
)

// Key is one [[encryption.key]]: one LUKS2 keyslot.
type Key struct {
	Type string `json:"type"`
	// Required says that the volume is not to be made without this key. Of the others
	// those that are not on the machine are left out.
	Required bool `json:"required,omitempty"`
	// PCRs, ascending and each once, and Bank bind a tpm2 key. Without PCRs it is
	// bound to the TPM alone; Bank "" means sha256 where the TPM has it.
	PCRs []int  `json:"pcrs,omitempty"`
	Bank string `json:"bank,omitempty"`
	// PCRValues are the values in hexadecimal, in lower case, that PCRs among them will
	// have; the others must stay as they are when the key is made.
	PCRValues map[int]string `json:"pcr_values,omitempty"`
	// PublicKey is the path of the key that signs which values PublicKeyPCRs may have, or
	// "auto"; "": none. PCRLock is the path of a policy of systemd-pcrlock, or "auto".
	PublicKey     string `json:"public_key,omitempty"`
	PublicKeyPCRs []int  `json:"public_key_pcrs,omitempty"`
	PCRLock       string `json:"pcrlock,omitempty"`
	// Blank is BlankAllow where the key may bind to nothing; "" is BlankRefuse.
	Blank string `json:"blank,omitempty"`
	// Format is that of the token, FormatWidest or FormatNewest; "" in a definition: the plan
	// decides (FormatAuto). In the newest, SRK is the handle
	// of the storage key, 0 for the one that all programs share, and DeviceKey the path of
	// that of another machine, whose TPM then opens the volume.
	Format    string `json:"format,omitempty"`
	SRK       uint32 `json:"srk,omitempty"`
	DeviceKey string `json:"device_key,omitempty"`
	// PIN is the key source that the PIN of a tpm2 key is read from when it is made;
	// "": it has none.
	PIN string `json:"pin,omitempty"`
	// Path is the key file of a file key, or "credential:NAME" or "socket:PATH"; ""
	// means the one of --key-file. A recovery key is written there.
	Path string `json:"path,omitempty"`
	// Offset and Size say which bytes of its file are a file key; Size 0 means all
	// behind Offset.
	Offset disk.Bytes `json:"offset,omitempty"`
	Size   disk.Bytes `json:"size,omitempty"`
	// Escrow is the age recipients that a recovery key is encrypted to. Without them
	// and without a path it is shown on the terminal.
	Escrow []string `json:"escrow,omitempty"`
	// URI (RFC 7512, without a query) is the private key of a pkcs11 key, Module the
	// path or p11-kit's name of the module that has it, "" for any configured one. Its PIN
	// is wanted to open; "" means the credential, or whoever can be asked.
	URI    string `json:"uri,omitempty"`
	Module string `json:"module,omitempty"`
	// KeySHA256 says which key that is, whatever token has the label: SHA-256 over its
	// public half (DER SubjectPublicKeyInfo, RFC 5280), in hexadecimal, in lower case; "": any.
	KeySHA256 string `json:"key_sha256,omitempty"`
	// Provision says that a blank token is made the one of the URI, with a key pair of
	// the kind KeyType. Slot is the number of its slot, nil for the first with a blank token.
	Provision bool   `json:"provision,omitempty"`
	KeyType   string `json:"key_type,omitempty"`
	Slot      *uint  `json:"slot,omitempty"`
	// Program is the path of a command key's module. Arguments are for locking. Timeout is
	// how long a try may take, in seconds, and Retries how many more are made.
	Program   string   `json:"program,omitempty"`
	Arguments []string `json:"arguments,omitempty"`
	Timeout   int      `json:"timeout,omitempty"`
	Retries   int      `json:"retries,omitempty"`
}

// The forms of the tokens of tpm2 keys.
const (
	FormatAuto   = "auto"   // the newest that whoever opens the volume can open
	FormatWidest = "widest" // what every systemd since 250 reads
	FormatNewest = "newest" // what the newest writes: under a persistent storage key
)

// The roles in a verity set.
const (
	VerityData = "data"
	VerityHash = "hash"
)

// Verity is the [verity] table.
type Verity struct {
	Role          string     // VerityData or VerityHash
	MatchKey      string     // ties data and hash together
	DataBlockSize disk.Bytes // 0 means 4096
	HashBlockSize disk.Bytes // 0 means 4096
	Salt          []byte     // nil: derived from the seed; empty: none
}

// Conditions is the [conditions] table: what must hold of the machine, all of it, or
// else the definition is set aside. Nil and "" are not set; a "!" in front of a text
// says that it must not hold.
type Conditions struct {
	SecureBoot        *bool  // Secure Boot is on, and not in setup mode
	TPM2              *bool  // there is a TPM 2.0
	FirstBoot         *bool  // the operating system has never run
	KernelCommandLine string // a word of it, or key=value
	Firmware          string // "uefi", "device-tree", "bios"
	Architecture      string // systemd's name
	Virtualization    string // "yes", "no", "vm", "container", or systemd-detect-virt's name
	PathExists        string // absolute path, below --root
}

// ForPersons reports whether only people keep the key: once it is made, nothing on the
// machine brings it back.
func (k Key) ForPersons() bool { return k.Type == KeyRecovery }
