// Package pkcs11 guards a secret by a key pair whose private half never leaves a
// smart card, an HSM or a trusted application (a PKCS#11 token). What comes of it is a
// systemd-pkcs11 token of a LUKS2 header, so that systemd-cryptsetup opens what we
// enrol and we open what systemd-cryptenroll enrolled. It is the one package that
// loads PKCS#11 modules.
//
// The road of a secret: to enrol takes the public key only, from the token's
// certificate or public key object. For RSA a random secret of half the modulus is
// encrypted to it; for an elliptic curve an ephemeral key agrees on one with it (ECDH).
// To open, the token decrypts or agrees with its private key, after the PIN. The
// passphrase of the keyslot is the secret in base64.
//
// RSA is written with PKCS#1 v1.5, which every systemd since 248 opens, and with OAEP
// (261 and later) where the token has no v1.5 any more.
//
// A module is code that is loaded into this process. Which one is said by a definition
// or by p11-kit's configuration, never by what stands on a disk: the query part of a
// URI in a header is not read.
//
// # PINs
//
// A wrong PIN costs a token one of its few tries. In one run a PIN that was refused is
// not tried again, and where the token says that the next wrong one locks it, only a
// person may try. The PIN is in locked memory; the binding to C copies it for the call
// and frees that copy unwiped.
//
// Modules are dynamic libraries, so without cgo this package refuses by name.
package pkcs11
