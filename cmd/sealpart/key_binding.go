package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/key/pkcs11"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/luks2"
)

// keyBinding is what exactly a keyslot is bound to, for programs.
type keyBinding struct {
	PCRs []int  `json:"pcrs,omitempty"`
	Bank string `json:"bank,omitempty"`
	// PCRValues are those at sealing, in hex, by number.
	PCRValues     map[int]string `json:"pcr_values,omitempty"`
	PublicKeyPCRs []int          `json:"public_key_pcrs,omitempty"`
	PCRLock       bool           `json:"pcrlock,omitempty"`
	PIN           bool           `json:"pin,omitempty"`
	URI           string         `json:"uri,omitempty"`
	Module        string         `json:"module,omitempty"`
	// KeySHA256 is the fingerprint of the key that signs PCR policies, as in their
	// signature files, or of a PKCS#11 token's key: of its SubjectPublicKeyInfo.
	KeySHA256 string `json:"key_sha256,omitempty"`
}

// bindingOf describes what a token binds to: what its header says openly, and what only
// its own room can read.
func bindingOf(t disk.Token, raw luks2.Token) keyBinding {
	b := keyBinding{
		PCRs: t.PCRs, Bank: t.Bank, PublicKeyPCRs: t.PublicKeyPCRs, PCRLock: t.PCRLock, PIN: t.PIN, URI: t.URI, Module: t.Module,
		KeySHA256: pkcs11.Fingerprint(raw.Raw),
	}
	if sealed, err := tpm2.ParseToken(raw.Raw); err == nil {
		b.KeySHA256, _ = sealed.SignerFingerprint() // what is no key signs nothing
		for pcr, value := range sealed.PCRValues() {
			if b.PCRValues == nil {
				b.PCRValues = map[int]string{}
			}
			b.PCRValues[pcr] = hex.EncodeToString(value)
		}
	}
	return b
}

// lines says for people what the table of keyslots has no room for.
func (b keyBinding) lines() (lines []string) {
	for _, pcr := range slices.Sorted(maps.Keys(b.PCRValues)) {
		lines = append(lines, fmt.Sprintf("PCR %d at sealing: %s", pcr, b.PCRValues[pcr]))
	}
	switch {
	case b.KeySHA256 == "":
	case b.URI != "":
		lines = append(lines, "SHA-256 of its public key: "+b.KeySHA256)
	default:
		lines = append(lines, "SHA-256 of the key that signs its policies: "+b.KeySHA256)
	}
	return lines
}
