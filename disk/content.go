package disk

import "slices"

// Content is what a partition, or a whole disk without a table, holds.
type Content struct {
	// Kind is blkid's TYPE: "ext4", "crypto_LUKS", "vfat", "swap", …; empty where
	// nothing known was found.
	Kind    string `json:"kind,omitempty"`
	Version string `json:"version,omitempty"`
	Label   string `json:"label,omitempty"`
	UUID    string `json:"uuid,omitempty"`
	// Size is how many bytes the file system says it takes, 0 where unknown.
	// It may be larger than the partition on a damaged disk.
	Size Bytes `json:"size,omitempty"`
	// BlockSize is the file system's block size; a LUKS2 sector may not be larger.
	BlockSize Bytes `json:"block_size,omitempty"`
	// Free is how many bytes the file system counts as free, 0 where unknown.
	Free Bytes `json:"free,omitempty"`
	// Unclean is set where the superblock says that the file system was not
	// unmounted cleanly, or holds errors.
	Unclean bool `json:"unclean,omitempty"`
	// Rigid says why the file system cannot be made smaller, though its kind can; "" where
	// nothing of that kind is known.
	Rigid string `json:"rigid,omitempty"`
	// User is who has the file system in use, on this machine or another, by what it says
	// itself; "" for nobody.
	User string `json:"user,omitempty"`
	// Ambiguous lists further signatures found beside Kind.
	Ambiguous []string `json:"ambiguous,omitempty"`
	// LUKS describes a LUKS2 volume, nil for anything else.
	LUKS *LUKS `json:"luks,omitempty"`
	// Verity describes a dm-verity hash device, nil for anything else.
	Verity *Verity `json:"verity,omitempty"`
	// At is the byte of the device at which the signature lies, of kinds that have it at
	// more than one place, such as members of arrays.
	At Bytes `json:"at,omitempty"`
	// Problem says why what is there cannot be used, e.g. a damaged LUKS2 header; Remedy
	// what to do, where it is nothing that can be repaired: it is whole, and of a form that
	// is not supported here.
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Hibernated is the Kind of a swap area that holds the memory of a hibernated system.
const Hibernated = "swsuspend"

// HoldsHibernated reports whether a signature says that a system is hibernated there,
// beside others or alone.
func (c Content) HoldsHibernated() bool {
	return c.Kind == Hibernated || slices.Contains(c.Ambiguous, Hibernated)
}

// LUKS is what a LUKS2 header tells without a key.
type LUKS struct {
	HeaderSize Bytes  `json:"header_size"` // one copy: binary header and JSON area
	SequenceID uint64 `json:"sequence_id"`
	Subsystem  string `json:"subsystem,omitempty"`
	DataOffset Bytes  `json:"data_offset"`
	Cipher     string `json:"cipher"`
	KeyBits    int    `json:"key_bits"`
	SectorSize Bytes  `json:"sector_size"`
	// FixedSize is that of data which does not reach to the end of its device, 0 where it does.
	FixedSize Bytes     `json:"fixed_size,omitempty"`
	Keyslots  []Keyslot `json:"keyslots"`
	// KeyslotRoom are the free runs that new keyslots can go to, in order: one of 0 bytes where
	// there is none, and nil where that is not known.
	KeyslotRoom []Bytes `json:"keyslot_room,omitempty"`
	// JSONRoom is what the text of the header can still grow by, JSONEmptied what it can once it has
	// no keyslot and no token of one; 0 where that is not known.
	JSONRoom     Bytes         `json:"json_room,omitempty"`
	JSONEmptied  Bytes         `json:"json_emptied,omitempty"`
	Tokens       []Token       `json:"tokens"`
	Reencryption *Reencryption `json:"reencryption,omitempty"`
	// Recovered says why one of the two copies of the header is not good; the other
	// is what is described here, and the next write of the header repairs both.
	Recovered string `json:"recovered,omitempty"`
	// ReadOnly says why the header must not be changed here, Unsupported why the volume
	// cannot be opened here; "" where it can.
	ReadOnly    string `json:"read_only,omitempty"`
	Unsupported string `json:"unsupported,omitempty"`
}

// Keyslot is one LUKS2 keyslot, without its secrets.
type Keyslot struct {
	ID  int    `json:"id"`
	KDF string `json:"kdf,omitempty"`
	// Unreadable says why nothing here can open it, "" where a passphrase can be tried.
	Unreadable string `json:"unreadable,omitempty"`
}

// Token is one LUKS2 token, as far as it says what a key is bound to.
type Token struct {
	ID       int    `json:"id"`
	Type     string `json:"type"`
	Keyslots []int  `json:"keyslots"`
	PCRs     []int  `json:"pcrs,omitempty"` // systemd-tpm2
	Bank     string `json:"bank,omitempty"` // systemd-tpm2
	PIN      bool   `json:"pin,omitempty"`  // systemd-tpm2
	// PublicKeyPCRs are bound by signatures, not by their values.
	PublicKeyPCRs []int `json:"public_key_pcrs,omitempty"` // systemd-tpm2
	PCRLock       bool  `json:"pcrlock,omitempty"`         // systemd-tpm2
	SRK           bool  `json:"srk,omitempty"`             // systemd-tpm2: sealed under a persistent storage key
	// PCRValues are what PCRs were sealed to, in hexadecimal, where a token of ours says so.
	PCRValues map[int]string `json:"pcr_values,omitempty"`           // systemd-tpm2
	Module    string         `json:"module,omitempty"`               // sealpart-command
	URI       string         `json:"uri,omitempty"`                  // systemd-pkcs11, without its query, which may hold a PIN
	KeySHA256 string         `json:"key_sha256,omitempty"`           // systemd-pkcs11: of the public key, where a token of ours says so
	Pattern   string         `json:"verification_pattern,omitempty"` // paes-verification-pattern
	// Awaits names the keys that were not there when the volume was made.
	Awaits []string `json:"awaits,omitempty"` // sealpart-awaits
}

// ReencryptionState tells how a volume in conversion was left.
type ReencryptionState string

// The states of LUKS2 re-encryption (cryptsetup's names for the first two).
const (
	// ReencryptClean: between two hot zones; every segment is readable.
	ReencryptClean ReencryptionState = "clean"
	// ReencryptCrash: a hot zone was being rewritten and must be redone.
	ReencryptCrash ReencryptionState = "crash"
	// ReencryptUnfinished: all data is converted but the header was not finished;
	// resuming it as clean would encrypt it twice.
	ReencryptUnfinished ReencryptionState = "unfinished"
)

// Reencryption is how far a conversion is.
type Reencryption struct {
	Mode       string            `json:"mode"`       // encrypt, reencrypt, decrypt
	Direction  string            `json:"direction"`  // forward, backward
	Resilience string            `json:"resilience"` // datashift, checksum, journal, none
	State      ReencryptionState `json:"state"`
	Done       Bytes             `json:"done"`
	Total      Bytes             `json:"total"`
	// PreviousCipher is that of the data which is not converted yet, "" where it is plain.
	PreviousCipher string `json:"previous_cipher,omitempty"`
	// Resume lists which keyslots can resume it: of each list, one must be opened.
	// There are two where data is left that is under the volume's previous key.
	Resume [][]int `json:"resume,omitempty"`
}

// Verity is a dm-verity superblock.
type Verity struct {
	HashType      int    `json:"hash_type"`
	Algorithm     string `json:"algorithm"`
	DataBlockSize Bytes  `json:"data_block_size"`
	HashBlockSize Bytes  `json:"hash_block_size"`
	DataBlocks    int64  `json:"data_blocks"`
	Salt          string `json:"salt"` // hex
}
