package mkfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

func TestMakeVFAT(t *testing.T) {
	src := t.TempDir()
	write(t, filepath.Join(src, "EFI/Linux/a long name of a kernel.efi"), "kernel", 0o644)
	write(t, filepath.Join(src, "loader.conf"), "conf", 0o644)
	write(t, filepath.Join(src, "other"), "other", 0o644)
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(src, "loader.conf"), at, at); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		size, sector disk.Bytes
		version      string
	}{
		"FAT16":                               {20 * disk.MiB, 512, "FAT16"},
		"FAT32":                               {34 * disk.MiB, 512, "FAT32"},
		"4096-byte sector":                    {260 * disk.MiB, 4096, "FAT32"},
		"4096-byte sector, too few for FAT32": {minFAT32(4096) - 4096, 4096, "FAT16"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := must(t, c.size, Filesystem{
				Format: "vfat", Label: "esp: größer als elf", UUID: testUUID, SectorSize: c.sector,
				CopyFiles: []Copy{{Source: src, Target: "/"}, {Source: filepath.Join(src, "other"), Target: "/loader/entries/renamed.conf"}, {Source: src, Target: "/efi/Again"}},
			})
			output(t, "fsck.vfat", "-n", path)
			for tag, want := range map[string]string{"UUID": "6A6A-6A6A", "LABEL": "ESP__GR__ER", "VERSION": c.version} {
				if got := blkid(t, path, tag); got != want {
					t.Errorf("%s is %q, want %q", tag, got, want)
				}
			}
			checkVFAT(t, path)
		})
	}
}

// checkVFAT asks mtools for what TestMakeVFAT copied.
func checkVFAT(t *testing.T, path string) {
	t.Helper()
	for file, want := range map[string]string{
		"/EFI/Linux/a long name of a kernel.efi":           "kernel",
		"/efi/again/efi/linux/a long name of a kernel.efi": "kernel",
		"/loader/entries/renamed.conf":                     "other",
	} {
		if got := output(t, "mtype", "-i", path, "::"+file); got != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	if listing := output(t, "env", "TZ=UTC", "mdir", "-i", path, "::/loader.conf"); !strings.Contains(listing, "2020-02-03   4:05") {
		t.Errorf("the time of loader.conf is lost:\n%s", listing)
	}
}

func TestVFATRefusesNames(t *testing.T) {
	testenv.Need(t, "mkfs.vfat")
	src := t.TempDir()
	write(t, filepath.Join(src, "a:b"), "x", 0o644)
	err := Make(t.Context(), sparse(t, 8*disk.MiB), Filesystem{Format: "vfat", CopyFiles: []Copy{{Source: src, Target: "/"}}})
	if err == nil || !strings.Contains(err.Error(), `"a:b"`) {
		t.Errorf("a name that FAT cannot hold: %v", err)
	}
}

func TestMakeSwap(t *testing.T) {
	path := must(t, 8*disk.MiB, Filesystem{Format: "swap", Label: "auslagerung-größe", UUID: testUUID})
	for tag, want := range map[string]string{"UUID": testUUID.String(), "LABEL": "auslagerung-gr", "TYPE": "swap"} {
		if got := blkid(t, path, tag); got != want {
			t.Errorf("%s is %q, want %q", tag, got, want)
		}
	}
}
