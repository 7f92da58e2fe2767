package disk

// The types of LUKS2 tokens that something here is done for or by. Those that begin with
// "sealpart" are ours; other programs pass them over.
const (
	TokenTPM2     = "systemd-tpm2"
	TokenPKCS11   = "systemd-pkcs11"
	TokenRecovery = "systemd-recovery"
	TokenCommand  = "sealpart-command"
	// TokenPattern is zkey's, with what a secure key makes of zeroes: by it a machine knows
	// the key.
	TokenPattern = "paes-verification-pattern"

	// TokenMAC is the member of the tokens of keys that are made here with a MAC under the volume
	// key. The programs whose tokens they are pass it over.
	TokenMAC = "sealpart-mac"

	// The notes: they guard no secret, and are believed only with a MAC under the volume
	// key (executor, note.go).

	// TokenFile marks a keyslot as that of a file key of a definition. A tpm2 key is known
	// by what its own token says; of a keyslot without a token nobody can tell whose key
	// opens it, the vendor's or the definition's. Where the one is to make room for the
	// other (enroll, rekey) the keyslots of file keys are marked.
	TokenFile = "sealpart-file"
	// TokenAwaits says which keys of its definition a volume waits for: they were not on the
	// machine when it was made, such as a TPM that is switched on later. A run that finds one
	// of them adds it, whatever the definition says of partitions that are there (existing):
	// it belongs to the making of the volume. A key that somebody has removed since is not in it.
	TokenAwaits = "sealpart-awaits"
	// TokenRekeyed says that the volume key was made here, for a definition with existing =
	// "rekey", so that nobody had it before. It is what such a definition goes by: which
	// keyslots there are may have been changed since by the volume's owner.
	TokenRekeyed = "sealpart-rekeyed"
	// TokenWipe is there only between a finished conversion and the wiping of the old data
	// that it left behind: the moved copy of the first bytes, or the journal of the last hot
	// zone.
	TokenWipe = "sealpart"
)
