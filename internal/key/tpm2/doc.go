// Package tpm2 seals a secret to this machine's TPM 2.0 and to the state of its
// PCRs, and gets it back; the result is a systemd-tpm2 token of a LUKS2 header,
// so that systemd-cryptsetup opens what we seal and we open what
// systemd-cryptenroll sealed. It is the one package that speaks to a TPM.
//
// The road of a secret: Seal makes the storage key in the owner hierarchy (always
// the same key, derived from a seed that never leaves the TPM), opens a session
// with it, and has the TPM create a sealed object whose policy names the PCRs and
// the values they have now. The object comes out encrypted by the storage key and
// lies in the token. Unseal makes the same storage key again, loads the object
// under it, walks the policy, and the TPM hands out the secret only when the PCRs
// have the values of then. The passphrase of the keyslot is Passphrase(secret).
//
// What is written is, unless told otherwise, the form every systemd since 250 reads: the
// storage key is made anew each time (no tpm2_srk), one blob as a string, the bank and the
// kind of storage key named, a PIN without salt. The newest form lies under the persistent
// storage root key (tpm2_srk), and its PIN is salted and hardened with Argon2id. Both can
// be bound to a signed PCR policy (signed.go) and the newest to one of systemd-pcrlock
// (pcrlock.go); to both at once the secret is sealed in two shards (shard.go). What is
// sealed without its TPM (offline.go) is imported first. All of these are read, and the
// forms between.
//
// Beside systemd's fields a token of ours has the values of its PCRs, so that Unseal can
// say which has changed. They are believed only where the policy is made of them.
//
// # Who listens on the bus
//
// Both the secret's way in and its way out are encrypted with AES-128-CFB, in a
// session whose key is salted with the storage key's public half. With tpm2_srk
// the token pins that public half, so a device between us and the TPM cannot
// replace it. Without tpm2_srk nobody vouches for it: an active attacker on the
// bus can answer with a key of his own, a passive one learns nothing. A PIN goes
// over the bus once, when it is set, encrypted; afterwards it is a part of the key
// of an HMAC, in such a session.
//
// # Where copies of a secret stay
//
// Seal takes the caller's slice and does not keep it; Unseal's result is the
// caller's to wipe. go-tpm itself leaves copies in garbage-collected memory that
// nothing can reach to wipe: on the way in, the buffers in which it assembles the
// sensitive area before it encrypts; on the way out, the decrypted response, once
// more. They live until the collector reuses the memory.
//
// # What is left in the TPM
//
// Nothing. Every object and session that a command brought into the TPM is
// written into a ledger where commands are sent, and flushed when the operation
// ends, however it ends. A process killed in between leaves at most two objects
// and two sessions on a TPM without resource manager (/dev/tpm0, swtpm); the
// kernel's /dev/tpmrm0 drops them itself.
//
// # Power cuts
//
// A TPM that lost its power after a guarded authorization was used counts that as a wrong
// try. So Close ends with TPM2_Shutdown where one was used (link.settle): a TPM is opened,
// used and closed, never held open for long. Settle does it for other programs.
package tpm2
