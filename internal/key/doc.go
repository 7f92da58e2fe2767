// Package key is what all kinds of key have in common: how one guards the passphrase of a
// keyslot, and what it says where it cannot. Each kind is a package below this one, and
// none of them knows another: tpm2, pkcs11, file, module, recovery, securekey. The package
// source reads keys and PINs from where a definition or a flag says that they come from.
package key
