package definitions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// TestVolumeLabels lets the programs that make file systems judge labels: what they
// refuse, cut short or warn about, we refuse, and nothing else.
func TestVolumeLabels(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	labels := []string{
		"A", "a", "A B", " A", "A'B", "A-_{}()`~!@#$%^&", "A.B", "A+B", "A/B", `A"B`, "größe", "GRÖSSE",
		"12345678901", "123456789012", "123456789012345", "1234567890123456", "12345678901234567", "ÄÄÄÄÄÄÄÄ", "ÄÄÄÄÄÄÄÄa",
	}
	makers := map[string][]string{
		"ext4": {"mke2fs", "-q", "-F", "-t", "ext4", "-L"},
		"vfat": {"mkfs.vfat", "-n"},
		"swap": {"mkswap", "-L"},
	}
	for format, args := range makers {
		t.Run(format, func(t *testing.T) {
			program := testenv.Need(t, args[0])
			image := filepath.Join(t.TempDir(), "image")
			for _, label := range labels {
				if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(program, append(args[1:len(args):len(args)], label, image)...)
				out, err := cmd.CombinedOutput()
				said := strings.ToLower(string(out))
				refused := err != nil || strings.Contains(said, "truncated") || strings.Contains(said, "warning: lowercase")
				if ours := checkVolumeLabel(format, label); (ours != nil) != refused {
					t.Errorf("label %q: we say %v, %s says %v %s", label, ours, args[0], err, out)
				}
			}
		})
	}
}
