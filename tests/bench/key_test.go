package bench

import (
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// volumeKey is what the volumes that we make are opened by.
type volumeKey struct {
	spoken string
	table  string // in a definition
	option string // of apply
}

// With a TPM a keyslot costs 1000 iterations of PBKDF2, as those of the peers do
// here. A key file's costs Argon2id, which would be measured instead of the work.
var (
	tpmKey  = volumeKey{"sealed to an emulated TPM, PBKDF2 with 1000 iterations", "\n[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\n", "--tpm2-device"}
	fileKey = volumeKey{"a file, Argon2id (swtpm is not installed)", "\n[[encryption.key]]\ntype = \"file\"\n", "--key-file"}
)

// ourKey is the TPM's, as on the devices that all this is for, where there is an
// emulator of one.
func ourKey() volumeKey {
	if installed("swtpm") {
		return tpmKey
	}
	return fileKey
}

// make makes the key, for the time of the test, and returns what apply is to be told.
func (k volumeKey) make(t testing.TB) []string {
	t.Helper()
	if k == tpmKey {
		return []string{k.option, testenv.StartSWTPM(t)}
	}
	return []string{k.option, keyFile(t)}
}

// apply runs apply with the key, whose options make returned, and more arguments.
func (w *workshop) apply(t testing.TB, key []string, args ...string) sample {
	t.Helper()
	s, _ := run(t, w.sealpart, append(append([]string{"apply", "--progress", "none"}, key...), args...)...)
	return s
}
