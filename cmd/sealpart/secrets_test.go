package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// secrets are what may be found nowhere, by what they are.
type secrets map[string][]byte

// find returns the secrets in text, plain or as tools write binary values.
func (s secrets) find(text []byte) []string {
	var found []string
	lower := bytes.ToLower(text)
	for name, secret := range s {
		standard, url := base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)
		// The last characters of base64 depend on what follows.
		n := len(secret) / 3 * 4
		switch {
		case bytes.Contains(text, secret):
			found = append(found, name)
		case bytes.Contains(lower, []byte(hex.EncodeToString(secret))):
			found = append(found, name+" in hex")
		case bytes.Contains(text, []byte(standard[:n])), bytes.Contains(text, []byte(url[:n])):
			found = append(found, name+" in base64")
		}
	}
	return found
}

// spies are the programs that mkfs starts. Each is replaced by one that notes its
// arguments, its environment and all temporary files, before and after, and does
// what it should.
var spies = []string{"mkfs.ext4", "e2fsck", "resize2fs", "debugfs"}

// spyOn makes the spies in dir/bin; they note in dir/notes.
func spyOn(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"bin", "notes", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range spies {
		script := fmt.Sprintf(`#!/bin/sh
note() {
	{ echo "$0 $*"; env; cat /proc/self/cmdline; find %[1]s/tmp; } >>%[1]s/notes/%[2]s.$$
	cp -r --sparse=always %[1]s/tmp %[1]s/notes/tmp.%[2]s.$1.$$
}
note before "$@"
rc=0; %[3]s "$@" || rc=$?
note after
exit $rc
`, dir, name, testenv.Need(t, name))
		if err := os.WriteFile(filepath.Join(dir, "bin", name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	marker  = "the-first-key-file-5e1c7c0ab8"
	another = "another-key-file-91d2f04b77"
)

// leakWork is what is done with the key file: a new volume with files in it, a
// conversion with a shrink, and all that can be said of both. Where fails is set, it does,
// and says so.
var leakWork = []struct{ line, fails string }{
	{"plan --json --definitions=defs SEED disk.img", ""},
	{"apply --json --progress=json --definitions=defs SEED --key-file=key disk.img", ""},
	{"apply --progress=json --definitions=defs SEED --key-file=key disk.img", ""},
	{"plan --definitions=defs SEED disk.img", ""},
	{"inspect disk.img", ""},
	{"inspect --json disk.img", ""},
	{"export --key-file=key disk.img#root plain", ""},
	{"export --key-file=another disk.img#root nothing", "no key opens this volume: file key another: no keyslot opens with this passphrase"},
	{"apply --definitions=defs SEED --key-file=another --progress=json unfinished.img", "file key another: no keyslot opens with this passphrase"},
	{"apply --definitions=missing SEED --key-file=key disk.img", "--definitions: stat missing: no such file or directory"},
}

// TestSecretsStay: neither what a key file holds nor a volume key is in anything that
// the command says, hands to other programs, leaves in temporary files, or writes to
// the disk.
func TestSecretsStay(t *testing.T) {
	dir := t.TempDir()
	spyOn(t, dir)
	leakDisks(t, dir)
	var said []byte
	for _, c := range leakWork {
		cmd := exec.Command(os.Args[0], strings.Fields(strings.ReplaceAll(c.line, "SEED", "--seed=750b6cd5-c4ae-4012-a15e-7be3c29e6a47"))...)
		cmd.Args[0] = "sealpart" // see TestMain
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH"), "TMPDIR=" + dir + "/tmp", "LC_ALL=C"}
		out, err := cmd.CombinedOutput()
		said = append(said, out...)
		if (err != nil) != (c.fails != "") || !strings.Contains(string(out), c.fails) {
			t.Fatalf("sealpart %s: %v, not %q\n%s", c.line, err, c.fails, out)
		}
	}
	s := secrets{"key file": []byte(marker), "other key file": []byte(another)}
	s.addVolumeKeys(t, dir)
	for what, text := range collect(t, dir, said) {
		if found := s.find(text); found != nil {
			t.Errorf("%s: %q", what, found)
		}
	}
	if left, err := os.ReadDir(dir + "/tmp"); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// leakDisks makes the disk to work on, one with a conversion that the key file
// another does not open, and definitions.
func leakDisks(t *testing.T, dir string) {
	t.Helper()
	data := "[partition]\ntype = \"srv\"\nlabel = \"data\"\nsize_min = \"48M\"\n[filesystem]\nformat = \"ext4\"\ncopy_files = [\"" + dir +
		"/defs:/a\", \"" + dir + "/defs:/b\"]\n[encryption]\n[[encryption.key]]\ntype = \"file\"\n"
	if err := os.CopyFS(dir, os.DirFS(workplace(t, strings.ReplaceAll(convert, "grow", "shrink")))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"key": marker, "another": another, "defs/20-data.toml": data} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := makeRoot(t, 56<<20, "", "mkfs.ext4", "-q", "FILE")
	writeChunks(t, dir+"/disk.img", diskSize, chunksOf(makeDisk(t, root)))
	begun := makeRoot(t, 56<<20, marker, "sh", "-ec", `mkfs.ext4 -q FILE 24M && cryptsetup reencrypt --encrypt --init-only -q --type=luks2 \
		--pbkdf=pbkdf2 --pbkdf-force-iterations=1000 --reduce-device-size=32M --key-file=- FILE`)
	writeChunks(t, dir+"/unfinished.img", diskSize, chunksOf(makeDisk(t, begun)))
	for _, image := range []string{"/disk.img", "/unfinished.img"} {
		if err := os.Truncate(dir+image, 2*diskSize); err != nil { // room for data
			t.Fatal(err)
		}
	}
}

// addVolumeKeys asks cryptsetup for the volume keys of both disks' partitions.
func (s secrets) addVolumeKeys(t *testing.T, dir string) {
	t.Helper()
	for _, part := range []string{"disk.img 1", "disk.img 3", "unfinished.img 1"} {
		out := tool(t, "", "sh", "-ec", fmt.Sprintf(`export PATH=$PATH:/usr/sbin:/sbin; cd %s; set -- %s
			set -- $(sfdisk -J $1 2>/dev/null | jq -r --argjson n $2 ".partitiontable.partitions[] | select(.node | endswith(\"img$2\")) | \"\(.start) \(.size)\"") $1
			dd if=$3 of=part bs=512 skip=$1 count=$2 conv=sparse status=none
			cryptsetup luksDump -q --dump-volume-key --volume-key-file=vk --key-file=key part >/dev/null
			od -An -v -tx1 vk | tr -d ' \n'; rm -f part vk`, dir, part))
		key, err := hex.DecodeString(out)
		if err != nil || len(key) != 64 {
			t.Fatalf("the volume key of %s: %q, %v", part, out, err)
		}
		s["volume key of "+part] = key
		s["second half of the volume key of "+part] = key[32:]
	}
}

// collect returns all that may hold no secret: what was said and noted, and the disks.
func collect(t *testing.T, dir string, said []byte) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{"output": said}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || name == "key" || name == "another" {
			return err
		}
		text, err := os.ReadFile(path)
		texts[name] = []byte(name + "\n")
		for _, c := range chunksOf(text) { // most of the images is zeroes
			texts[name] = append(texts[name], c.bytes...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mkfs.ext4", "resize2fs"} {
		if notes, _ := filepath.Glob(dir + "/notes/" + name + ".*"); len(notes) == 0 {
			t.Errorf("nothing was noted of %s", name)
		}
	}
	return texts
}

// TestFind: the search itself finds.
func TestFind(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcde\xff")
	for _, text := range []string{"x" + string(key), "x " + strings.ToUpper(hex.EncodeToString(key)), `"` + base64.StdEncoding.EncodeToString(key) + `"`,
		base64.URLEncoding.EncodeToString(append(bytes.Clone(key), "more"...))} {
		if (secrets{"key": key}).find([]byte(text)) == nil {
			t.Errorf("not found in %q", text)
		}
	}
}
