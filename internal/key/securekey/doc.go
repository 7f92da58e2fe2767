// Package securekey makes secure keys by the program zkey of s390-tools: volume keys that an IBM
// Crypto Express adapter makes and encrypts by its master key.
//
// zkey keeps a key in a repository, a directory: NAME.skey is the key as it goes into a
// volume's header, NAME.info has properties, of which the verification pattern goes into a
// token. The pattern is made by the kernel's own paes, which so has used the key once. What
// is in these files is no secret: without the adapter it opens nothing, and zkey(1) says
// that it need not be guarded. Where no repository is wanted, one is made for the moment.
package securekey
