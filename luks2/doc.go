// Package luks2 reads and writes the LUKS2 on-disk format, version 2 of the Linux
// Unified Key Setup, and nothing else: it opens no device-mapper target and
// encrypts no data but keyslots.
//
// A volume begins with two copies of its header. Each copy is 4096 bytes of binary
// fields (binary.go) and a text area with one JSON object (object.go, metadata.go),
// under one checksum. The object lists
//
//   - segments: which bytes of the device are data, and how they are encrypted;
//   - keyslots: where a copy of a volume key lies, encrypted by a passphrase;
//   - digests: which volume key belongs to which keyslots and segments;
//   - tokens: where a passphrase may be found, for programs such as systemd;
//   - config: sizes, flags, and what a program must understand to touch the volume.
//
// # Reading and changing
//
// Read takes the newest valid copy and validates all of it, so that what follows
// needs no checks. Keyslots, Segments, Tokens and so on are views of it. Every
// change (AddKeyslot, AddToken, MarkHot, …) makes a new object in memory, which
// passes the same validation or is dropped with an error; Commit writes it. Keys
// that this package does not know are kept, at every level.
//
//	h, err := luks2.Read(dev, size)
//	id, err := h.AddKeyslot(ctx, dev, volumeKey, passphrase, luks2.TokenKDF(), rand.Reader)
//	err = h.Commit(dev)
//
// # Re-encryption
//
// A volume under conversion says so in the same header: a keyslot of the type
// "reencrypt", backup segments with the old and the new layout, and regular segments
// that show how far it got. There is no other progress counter. Three conversions
// can be begun: BeginEncrypt (plaintext whose first bytes made room for the header),
// BeginEncryptForward (plaintext behind a header, nothing moved) and BeginRekey.
// Each goes zone by zone:
//
//	MarkHot, Commit      the zone may be half written: a reader redoes it
//	(write the zone, sync)
//	MarkDone, Commit     the zone is new
//	…
//	MarkHot, Commit      the last zone
//	(write the zone, sync)
//	Finish, Commit       never MarkDone: see there for the data it would cost
//
// The sync after a zone is the caller's: Commit writes before it syncs, so without it
// a power cut could leave a header that calls a zone new, and old bytes in it.
//
// # What is not here
//
// Keyslots are encrypted with aes-xts-plain64 only. A volume whose keyslot areas use
// another cipher (aes-cbc-essiv, adiantum, …) is read, but its slots do not open.
// Decryption in place is read but not continued. Locks of libcryptsetup are the
// caller's business, and so is a foreign signature beside a damaged header: Read
// says through Recovered that a copy is bad, not what lies there instead.
package luks2
