// Package module guards keys by programs that a machine's owner installs: what speaks to
// an external key module, or to any HSM that has a tool for the command line. A module wraps
// a secret ("lock") and brings it back ("unlock"); the blob in between is in the volume's
// header, in a token of the type "sealpart-command". docs/key-modules.md is the protocol.
//
// A header is not to be trusted: whoever can write to the disk would else choose what runs
// here as root. A token says only the name of a module and has its blob. What runs is the
// program of a definition of that name, or the one that lies in a folder for modules; it
// must be root's, or ours, and nobody else's to change. Arguments come from definitions
// only, and for locking only.
package module
