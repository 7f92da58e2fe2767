// Package recovery is the kind of key that people keep: systemd's recovery key, which
// is made here, leaves the machine once, and is typed when nothing else opens the
// volume any more.
//
// How it leaves is decided by its definition: encrypted to age recipients (escrow), in
// a file (path), or on the terminal, for somebody to write it down or to photograph.
// It has left, durably, before any disk depends on it:
//
//   - escrow: the encrypted text is a field of the token, so it is durable with the
//     header that lists the keyslot, and is found wherever the volume is. Who has the
//     age identity reads it with
//     cryptsetup luksDump --dump-json-metadata, or sealpart key list --json;
//   - path: the file is written and synced first. One that is there already and holds a
//     recovery key is taken as it is: after a power cut in between, the next run uses
//     the key that got out, and several volumes may have one key;
//   - terminal: it has been shown before anything is written.
package recovery
