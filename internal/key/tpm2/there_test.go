package tpm2

import (
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestThere: a TPM is there where something answers, and where it cannot be told.
func TestThere(t *testing.T) {
	for device, want := range map[string]bool{
		testenv.StartSWTPM(t):                                true,
		"swtpm:path=" + filepath.Join(t.TempDir(), "nobody"): false,
		"/nonexistent":                                       false,
		"/dev/null/tpm":                                      true, // not absent: broken
		"tabrmd:what we have not":                            true,
	} {
		if (Sealer{Device: device}).There(t.Context(), definitions.Key{}) != want {
			t.Errorf("%s: there is one: %v", device, !want)
		}
	}
}
