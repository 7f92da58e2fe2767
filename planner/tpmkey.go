package planner

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// boundToTPM reports whether a token binds its keyslots as a tpm2 key of a definition says.
// Whose signatures are asked for, and which policy of pcrlock, the token does not tell; a
// policy that is used only where there is one may be in it or not.
func boundToTPM(t disk.Token, k definitions.Key) bool {
	lock := t.PCRLock == (k.PCRLock != "") || k.PCRLock == definitions.AutoPath
	return t.Type == disk.TokenTPM2 && lock && t.PIN == (k.PIN != "") &&
		slices.Equal(t.PCRs, k.PCRs) && slices.Equal(t.PublicKeyPCRs, k.PublicKeyPCRs) &&
		(k.Bank == "" || k.Bank == t.Bank) && givenValues(t, k)
}

// givenValues reports whether a token is sealed to the values that a key gives. One that does
// not say what it was sealed to may be.
func givenValues(t disk.Token, k definitions.Key) bool {
	for pcr, value := range k.PCRValues {
		if t.PCRValues != nil && t.PCRValues[pcr] != value {
			return false
		}
	}
	return true
}

// describeTPMKey is what a tpm2 key leaves behind, as far as it is known before.
func describeTPMKey(token *disk.Token, k definitions.Key) {
	token.Type, token.PCRs, token.Bank, token.PIN = disk.TokenTPM2, k.PCRs, k.Bank, k.PIN != ""
	token.PublicKeyPCRs, token.PCRLock = k.PublicKeyPCRs, k.PCRLock != ""
}
