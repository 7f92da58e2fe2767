package mkfs

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/disk"
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

// TestVFATRefusesNames: what would overwrite something else, or could not be kept, is
// refused by name before anything is written.
func TestVFATRefusesNames(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string // in the error, "" for none
	}{
		"a colon":              {[]string{"a:b"}, `FAT cannot hold a file of the name "a:b": it has one of the characters`},
		"a line break":         {[]string{"a\nb"}, `FAT cannot hold a file of the name "a\nb": it has one of the characters`},
		"a dot at the end":     {[]string{"name."}, `FAT cannot hold a file of the name "name.": it ends with a dot or a blank`},
		"a blank at the end":   {[]string{"dir /x"}, `FAT cannot hold a file of the name "dir ": it ends with a dot or a blank`},
		"not UTF-8":            {[]string{"a\xff"}, `FAT cannot hold a file of the name "a\xff": it is not UTF-8`},
		"case":                 {[]string{"README", "readme"}, `"/README" and "/readme" are one name`},
		"case beyond ASCII":    {[]string{"d/Ä", "d/ä"}, `"/d/Ä" and "/d/ä" are one name`},
		"a file and directory": {[]string{"efi/x", "EFI"}, "are one name"},
		"a short name":         {[]string{"LONGFI~1.TXT", "longfilename.txt"}, `"LONGFI~1.TXT" may be the short name of "longfilename.txt"`},
		"in lower case":        {[]string{"longfi~1.txt", "Long File Name.txt2"}, `"longfi~1.txt" may be the short name of "Long File Name.txt2"`},
		"of a foreign name":    {[]string{"_~1", "üü"}, `"_~1" may be the short name of "üü"`},
		"no short name of it":  {[]string{"OTHER~1.TXT", "longfilename.txt"}, ""},
		"alone":                {[]string{"LONGFI~1.TXT", "longfi.txt", "d/longfilename.txt"}, ""},
	} {
		src := t.TempDir()
		for _, file := range c.files {
			write(t, filepath.Join(src, file), "x", 0o644)
		}
		fs := Filesystem{Format: "vfat", CopyFiles: []Copy{{Source: src, Target: "/"}}}
		path := sparse(t, 8*disk.MiB)
		err := Make(t.Context(), path, fs)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if checked := CheckFiles(fs); (checked == nil) != (err == nil) {
			t.Errorf("%s: before, %v", name, checked)
		}
		if content, _ := os.ReadFile(path); err != nil && len(bytes.Trim(content, "\x00")) > 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}

// TestVFATKeepsNames: names are in the file system as they were, of every form.
func TestVFATKeepsNames(t *testing.T) {
	names := []string{
		"ü.txt", "Á", "é.txt", "😀", "日本語.conf", "aux", "Nul.txt", "a[1].txt", " leading", ".hidden", "a+b.txt", "MiXed.Case",
		"lower.txt", "UPPER.TXT", "x.y.z", "+0.txt", strings.Repeat("long ", 20) + "name", "ß", "größe/ä[b]/ö.txt", "plain/ü",
	}
	src := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(src, name), name, 0o644)
	}
	for _, size := range []disk.Bytes{2 * disk.MiB, 20 * disk.MiB, 40 * disk.MiB} { // FAT12, FAT16, FAT32
		path := must(t, size, Filesystem{Format: "vfat", CopyFiles: []Copy{{Source: src, Target: "/"}, {Source: filepath.Join(src, "ü.txt"), Target: "/Ziel/ß.txt"}}})
		output(t, "fsck.vfat", "-n", path)
		listing := output(t, "env", "LC_ALL=C.UTF-8", "mdir", "-b", "-/", "-i", path)
		got := strings.Split(strings.ReplaceAll(strings.TrimSpace(listing), "::/", ""), "\n")
		for _, name := range append(names, "Ziel/ß.txt") {
			if name != "😀" && !slices.Contains(got, name) { // mdir knows no character of two units
				t.Errorf("%s: mdir does not list %q in\n%s", size, name, listing)
			}
		}
		if content := output(t, "env", "LC_ALL=C.UTF-8", "mtype", "-i", path, "::größe/ä*b*/ö.txt"); content != names[18] {
			t.Errorf("%s: %q", size, content)
		}
	}
}

// TestVFATIsCounted: what mtools left out, or put where nothing asked for it, is named.
func TestVFATIsCounted(t *testing.T) {
	src := t.TempDir()
	write(t, filepath.Join(src, "d/a.txt"), "abc", 0o644)
	write(t, filepath.Join(src, "b"), "abc", 0o644)
	path := must(t, 8*disk.MiB, Filesystem{Format: "vfat", CopyFiles: []Copy{{Source: src, Target: "/"}}})
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	expect := func(change func(), want string) {
		t.Helper()
		change()
		tree, err := planFAT([]Copy{{Source: src, Target: "/"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := settleFAT(image, tree); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	expect(func() {}, "")
	expect(func() { write(t, filepath.Join(src, "d/c"), "", 0o644) }, "d/c: mtools did not put it into the file system as /d/c")
	expect(func() { _ = os.Remove(filepath.Join(src, "d/c")); _ = os.Remove(filepath.Join(src, "b")) }, `mtools put "b" into / of the file system`)
	expect(func() { write(t, filepath.Join(src, "b"), "abcd", 0o644) }, "b: in the file system /b has 3 bytes, not 4")
}

func TestMakeSwap(t *testing.T) {
	path := must(t, 8*disk.MiB, Filesystem{Format: "swap", Label: "auslagerung-größe", UUID: testUUID})
	for tag, want := range map[string]string{"UUID": testUUID.String(), "LABEL": "auslagerung-gr", "TYPE": "swap"} {
		if got := blkid(t, path, tag); got != want {
			t.Errorf("%s is %q, want %q", tag, got, want)
		}
	}
}
