package securekey

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
)

// withZkey puts a program of the name zkey first into PATH: the one that stands in for the
// real one, or a script.
func withZkey(t *testing.T, script string) {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if script != "" {
		dir = t.TempDir()
		err = os.WriteFile(filepath.Join(dir, "zkey"), []byte("#!/bin/sh\n"+script), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", t.TempDir())
}

// device makes the files of one adapter or domain.
func device(t *testing.T, devices, name, mode, online string) {
	t.Helper()
	dir := filepath.Join(devices, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"uevent": "DRIVER=cex4queue\nMODE=" + mode + "\n", "online": online + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMake: zkey is asked for the key, by the adapters given or found, and key and pattern
// are those of its files, which stay only in a repository that somebody named.
func TestMake(t *testing.T) {
	devices, repository := t.TempDir(), t.TempDir()
	device(t, devices, "card00", "cca", "1")
	device(t, devices, "00.0035", "cca", "1")
	device(t, devices, "01.0036", "ep11", "1")
	device(t, devices, "02.0035", "cca", "0")
	device(t, devices, "0a.0035", "cca", "1")
	for _, c := range []struct {
		name  string
		key   definitions.SecureKey
		size  int
		apqns string
	}{
		{"found", definitions.SecureKey{KeyType: "CCA-AESCIPHER"}, 272, "00.0035,0a.0035"},
		{"given", definitions.SecureKey{KeyType: "CCA-AESDATA", APQNs: []string{"01.0001", "02.0035"}, Repository: repository}, 128, "01.0001,02.0035"},
		{"kept", definitions.SecureKey{KeyType: "CCA-AESCIPHER", Repository: repository}, 272, "00.0035,0a.0035"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withZkey(t, "")
			made, err := Maker{devices}.Make(t.Context(), c.key, c.name)
			if err != nil {
				t.Fatal(err)
			}
			defer made.Blob.Wipe()
			sum := sha256.Sum256(made.Blob.Bytes())
			if len(made.Blob.Bytes()) != c.size || made.Pattern != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes with the pattern %s", len(made.Blob.Bytes()), made.Pattern)
			}
			info, err := os.ReadFile(filepath.Join(repository, c.name+".info"))
			if kept := c.key.Repository != ""; kept != (err == nil) || kept && !strings.Contains(string(info), "\napqns="+c.apqns+"\n") {
				t.Errorf("in the repository: %q, %v", info, err)
			}
			if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
				t.Errorf("%s was left", left[0].Name())
			}
		})
	}
}

// TestMakeFails: what goes wrong is told, and there is no key then.
func TestMakeFails(t *testing.T) {
	some := definitions.SecureKey{KeyType: "CCA-AESCIPHER", APQNs: []string{"00.0035"}}
	files := func(skey, info string) string {
		return `while [ "$1" != --name ]; do shift; done; cd "$ZKEY_REPOSITORY"; ` + skey + ` >$2.skey; ` + info + ` >$2.info`
	}
	pattern := "echo verification-pattern=" + strings.Repeat("0a", 32)
	for want, c := range map[string]struct {
		script string
		key    definitions.SecureKey
	}{
		"Your master key setup is improper":                 {"", definitions.SecureKey{KeyType: "CCA-AESCIPHER", APQNs: []string{"ff.ffff"}}},
		"Can not access '/nonexistent'":                     {"", definitions.SecureKey{KeyType: "CCA-AESCIPHER", APQNs: some.APQNs, Repository: "/nonexistent"}},
		"no adapter in CCA mode is online":                  {"", definitions.SecureKey{KeyType: "CCA-AESCIPHER"}},
		"zkey made no key":                                  {"true", some},
		"it should have 272":                                {files("head -c 100 /dev/zero", pattern), some},
		"has more than 272 bytes":                           {files("head -c 1000000 /dev/zero", pattern), some},
		"without a verification pattern":                    {files("head -c 272 /dev/zero", "echo verification-pattern=12"), some},
		".info has more than 65536 bytes":                   {files("head -c 272 /dev/zero", "head -c 100000 /dev/zero"), some},
		"exit status 3: \"a very long story told in full\"": {"echo a very long story told in full; exit 3", some},
	} {
		t.Run(want, func(t *testing.T) {
			withZkey(t, c.script)
			made, err := Maker{t.TempDir()}.Make(t.Context(), c.key, "x")
			if err == nil || !strings.Contains(err.Error(), want) || made.Blob != nil {
				t.Errorf("%v, %v", made.Blob, err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (Maker{}).Make(t.Context(), some, "x"); err == nil || !strings.Contains(err.Error(), "zkey, of s390-tools, is not installed") {
		t.Errorf("without zkey: %v", err)
	}
}

// TestNoAdapterHint: who has no adapter is told what to look at.
func TestNoAdapterHint(t *testing.T) {
	_, err := online(filepath.Join(t.TempDir(), "nowhere"))
	var none noAdapterError
	if !errors.As(err, &none) || !slices.Contains(strings.Fields(none.Hint()), "zcrypt_cex4") {
		t.Error(err)
	}
}
