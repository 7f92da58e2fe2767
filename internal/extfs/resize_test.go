package extfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// made makes a file system of 32 MiB and returns its path.
func made(t *testing.T, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fs")
	args := append(append([]string{"-q", "-F", "-t", "ext4"}, options...), path, "32M")
	if out, err := exec.Command(testenv.Need(t, "mke2fs"), args...).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs %v: %v\n%s", args, err, out)
	}
	return path
}

// opened reads a file system's superblock.
func opened(t *testing.T, path string) (*Superblock, *os.File) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	s, err := ReadSuperblock(file)
	if err != nil {
		t.Fatal(err)
	}
	return s, file
}

func TestRigid(t *testing.T) {
	for features, want := range map[string]string{
		"":              "",
		"^has_journal":  "",
		"bigalloc":      "(bigalloc)",
		"mmp":           "(mmp)",
		"stable_inodes": "(stable_inodes)",
	} {
		s, file := opened(t, made(t, "-O", features))
		if got := s.Rigid(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", features, got, want)
		}
		if user := s.User(file); user != "" {
			t.Errorf("%q: in use by %s", features, user)
		}
	}
}

// TestRigidJournal: resize2fs does not know where an external journal is.
func TestRigidJournal(t *testing.T) {
	s, file := opened(t, made(t, "-O", "^has_journal"))
	if s.Rigid() != "" {
		t.Errorf("without a journal: %q", s.Rigid())
	}
	// mke2fs wants a block device for it; what tells is that no inode is named.
	if _, err := file.WriteAt([]byte{byte(s.compat) | compatHasJournal}, 1024+92); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSuperblock(file); err != nil || s.Rigid() != "its journal is on another device" {
		t.Errorf("%q, %v", s.Rigid(), err)
	}
}

// TestUser: multiple mount protection says who has the file system, on whatever machine.
func TestUser(t *testing.T) {
	s, file := opened(t, made(t, "-O", "mmp"))
	at := s.mmpBlock * int64(s.BlockSize)
	for _, test := range []struct {
		text string
		at   int64
		want string
	}{
		{"\x50\x4d\x4d\x00\x07\x00\x00\x00", 0, ""},
		{"node-a\x00", 16, `the machine "node-a"`},
		{"XXXX", 0, "somebody: its MMP block cannot be read"},
	} {
		if _, err := file.WriteAt([]byte(test.text), at+test.at); err != nil {
			t.Fatal(err)
		}
		if got := s.User(file); test.want != "" && got != test.want || got == "" {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if s.mmpBlock = s.Blocks; s.User(file) != "somebody: its MMP block is not in it" {
		t.Errorf("outside: %q", s.User(file))
	}
}
