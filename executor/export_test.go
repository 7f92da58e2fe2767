package executor

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/planner"
)

// during calls do when the first bytes are written to it.
type during struct{ do func() }

func (d *during) Write(p []byte) (int, error) {
	if d.do != nil {
		d.do()
		d.do = nil
	}
	return len(p), nil
}

// Another program begins to encrypt a volume anew, or makes another one, while it is
// exported: that is found at the end. A key that it adds does not matter.
func TestExportOvertaken(t *testing.T) {
	volume := vendorVolume(t)
	vendor := fileOf(t, []byte(vendorPassphrase))
	begun := fileOf(t, volume)
	tool(t, "cryptsetup", "reencrypt", "--init-only", "--force-offline-reencrypt", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--key-slot", "0", "--key-file", vendor, begun)
	header, err := os.ReadFile(begun)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		theirs func(*simdev.Device) error
		want   string
	}{
		"begun":   {func(dev *simdev.Device) error { _, err := dev.WriteAt(header[:gapData.Size/2], 0); return err }, "a conversion of the volume was not finished"},
		"another": {func(dev *simdev.Device) error { _, err := dev.WriteAt(vendorVolume(t)[:1<<20], 0); return err }, "it is of the volume "},
		"key added": {func(dev *simdev.Device) error {
			env := keyEnv(t)
			env.Sealers = append(env.Sealers, vendorFile{})
			_, _, err := ChangeKeys(t.Context(), env, dev, decided(planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}}))
			return err
		}, ""},
	} {
		dev, env := simdev.New(volume), testEnv(t)
		env.Sealers, env.Keys = append(env.Sealers, vendorFile{}), []definitions.Key{{Type: definitions.KeyFile}}
		var out io.Writer = &during{func() {
			if err := c.theirs(dev); err != nil {
				t.Fatal(err)
			}
		}}
		switch err := Export(t.Context(), env, dev, out); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), "rewritten by another program while it was read: ") || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: it was not noticed: %v", name, err)
		}
	}
}
