package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key/file"
	"github.com/sealpart/sealpart/planner/plan"
)

// How encryption is spoken: what happens to the data first, then by which keys it
// can be opened, then what else is written. No key is ever shown, only where it is.

func reencryptDeed(a plan.Reencrypt) string {
	switch {
	case a.Resume && a.Mode == plan.ModeRekey:
		return "finish the change of its volume key that was begun before"
	case a.Resume:
		return "finish the encryption in place that was begun before"
	case a.Mode == plan.ModeRekey:
		return fmt.Sprintf("encrypt %s anew under another volume key, ", a.DataSize) + encryptionDeed(a.Encryption) +
			", and drop every other key, that of " + a.ExistingKey + " too"
	}
	what := roomDeed(a) + fmt.Sprintf("encrypt %s in place, ", a.DataSize)
	if a.FreeSpace == definitions.FreeDiscard {
		what += "but discard what its file system does not use, "
	}
	if a.Trailing == definitions.TrailingDiscard {
		what += "discard what lies behind its file system, "
	}
	return what + encryptionDeed(a.Encryption)
}

// roomDeed says what makes room for the header of a conversion.
func roomDeed(a plan.Reencrypt) string {
	switch {
	case a.Room == plan.RoomGap:
		return fmt.Sprintf("put a header into the %s before it, which become part of it, ", a.Shift)
	case a.Room == plan.RoomDetached:
		return fmt.Sprintf("put a header into the file %s, ", a.HeaderPath)
	case a.ShrinkTo > 0:
		return fmt.Sprintf("shrink its %s to %s to make room for the header, ", a.Filesystem, a.ShrinkTo)
	}
	return ""
}

func enrollDeed(a plan.Enroll) string {
	what := "add " + spokenKeys(a.Keys) + " to its volume"
	if a.DropExisting {
		what += " and drop the key of " + a.ExistingKey
	}
	return what + absentDeed(a.Keys) + backupDeed(a.HeaderBackup, a.HeaderBackupIn) + leaveDeed(a.Unavailable)
}

func encryptionDeed(e plan.Encryption) string {
	cipher := e.Cipher
	if e.SecureKey != nil {
		cipher += " under a secure key (" + e.SecureKey.KeyType + ")"
	}
	return fmt.Sprintf("%s with %s", cipher, spokenKeys(e.Keys)) + absentDeed(e.Keys) + backupDeed(e.HeaderBackup, e.HeaderBackupIn) + leaveDeed(e.Unavailable)
}

func backupDeed(path string, in *plan.Mounted) string {
	switch {
	case path == "":
		return ""
	case in != nil:
		return fmt.Sprintf(", with a copy of the header in %s of partition %d", path, in.Number)
	}
	return ", with a copy of the header in " + path
}

// absentDeed says what becomes of keys that are not on the machine, where others may do.
func absentDeed(keys []definitions.Key) string {
	spare := func(k definitions.Key) bool { return !k.Required && !k.ForPersons() }
	if len(keys) > 1 && slices.ContainsFunc(keys, spare) {
		return ", leaving out keys that are not there"
	}
	return ""
}

func leaveDeed(unavailable string) string {
	if unavailable != definitions.UnavailableLeave {
		return ""
	}
	return ", or leave it as it is where none of the keys can be used"
}

func spokenKeys(keys []definitions.Key) string {
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		name := spokenKey(k)
		if k.Required {
			name += " (required)"
		}
		names = append(names, name)
	}
	return strings.Join(names, " and ")
}

// spokenKey names a key, never its content.
func spokenKey(k definitions.Key) string {
	switch {
	case k.Type == definitions.KeyTPM2:
		return spokenTPMKey(k)
	case k.Type == definitions.KeyRecovery && len(k.Escrow) > 0:
		return "a recovery key, encrypted to " + strings.Join(k.Escrow, " and ")
	case k.Type == definitions.KeyRecovery && k.Path != "":
		return "a recovery key, written to " + k.Path
	case k.Type == definitions.KeyRecovery:
		return "a recovery key, shown on the terminal"
	case k.Type == definitions.KeyCommand:
		return "the key module " + k.Program
	case k.Type == definitions.KeyPKCS11:
		return "the key " + k.URI + " of a PKCS#11 token"
	case k.Path == file.Stdin:
		return "the key on standard input"
	case k.Path != "":
		return "the key file " + k.Path
	default:
		return "the key file of --key-file"
	}
}

// spokenBank says which bank of PCRs counts, where the definition says so. Else it is the one
// into which the firmware measures, and only the TPM knows that.
func spokenBank(k definitions.Key) string {
	if k.Bank == "" {
		return ""
	}
	return " (" + k.Bank + ")"
}

func spokenTPMKey(k definitions.Key) string {
	name := "a key sealed to the TPM"
	if k.DeviceKey != "" {
		name += " that has " + k.DeviceKey
	}
	if len(k.PCRs) > 0 {
		name += " and its PCRs " + joinInts(k.PCRs) + spokenBank(k)
	}
	if len(k.PCRValues) > 0 {
		name += ", of which " + joinInts(slices.Sorted(maps.Keys(k.PCRValues))) + " with the value that is given"
	}
	if k.PublicKey != "" {
		name += " and PCRs " + joinInts(k.PublicKeyPCRs) + spokenBank(k) + " as " + k.PublicKey + " signs them"
	}
	switch k.PCRLock {
	case "":
	case definitions.AutoPath:
		name += " and the policy of systemd-pcrlock, if there is one"
	default:
		name += " and the policy of systemd-pcrlock in " + k.PCRLock
	}
	if !k.Conditional() {
		name += " and to nothing else"
	}
	if k.PIN != "" {
		name += " and a PIN (" + k.PIN + ")"
	}
	return name
}
