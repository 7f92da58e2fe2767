package tpm2

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/resolve"
)

// Search says where the files are that go with a policy. Those without a path are looked
// for where systemd has them.
type Search struct {
	Signatures string // of PCR policies; "": tpm2-pcr-signature.json
	PCRLock    string // the policy of systemd-pcrlock; "": pcrlock.json
	Root       string // of the directories that are searched; "" is /
}

// Auto stands in place of a path for what Search finds.
const Auto = "auto"

// The directories that systemd searches, the first first; sd-stub leaves files of a unified
// kernel image in the last (systemd-stub(7)).
var (
	policyDirs = []string{"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/.extra"}
	lockDirs   = []string{"/run/systemd", "/var/lib/systemd"}
)

// maxFile bounds such a file: it may lie on a partition that anybody can write.
const maxFile = 1 << 20

// read returns a file: that at path, or the first with a name in the directories. Where
// there is none the error is fs.ErrNotExist.
func (s Search) read(path, name string, dirs []string) ([]byte, error) {
	if path != "" && path != Auto {
		return readFile(resolve.Tree{Trusted: true}, path)
	}
	for _, dir := range dirs {
		content, err := readFile(resolve.Tree{Root: s.Root, Trusted: true}, filepath.Join(dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return nil, fmt.Errorf("%s is in none of %v: %w", name, dirs, fs.ErrNotExist)
}

// Files returns the paths of the files that Auto stands for when a key is made, "" for one
// that is not there: the key that signs PCR policies, and the policy of systemd-pcrlock.
func (s Search) Files() (publicKey, pcrLock string) {
	if pcrLock = s.PCRLock; pcrLock == "" {
		pcrLock = s.first("pcrlock.json", lockDirs)
	}
	return s.first("tpm2-pcr-public-key.pem", policyDirs), pcrLock
}

// Check reports why a file that a key is to be bound to cannot be used, and which setting names
// it. Auto names none.
func (s Search) Check(k definitions.Key) (setting string, err error) {
	named := func(path string) bool { return path != "" && path != Auto }
	if named(k.PublicKey) {
		text, err := s.publicKey(k.PublicKey)
		if err == nil {
			_, err = newSigner(text, k.PublicKeyPCRs, "")
		}
		if err != nil {
			return "public_key", err
		}
	}
	if named(k.DeviceKey) {
		if _, err := readFile(resolve.Tree{Trusted: true}, k.DeviceKey); err != nil {
			return "device_key", err
		}
	}
	if named(k.PCRLock) {
		policy, err := s.pcrLock(k.PCRLock)
		if err == nil && policy.blank() && !k.AllowsBlank() {
			err = errBlankLock
		}
		if err != nil {
			return "pcrlock", err
		}
	}
	return "", nil
}

// first returns the path of the first file with a name in the directories, "" for none.
func (s Search) first(name string, dirs []string) string {
	for _, dir := range dirs {
		path := filepath.Join("/", s.Root, dir, name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// readFile reads a file of up to maxFile bytes, which others cannot change: it decides to
// what a key is sealed.
func readFile(tree resolve.Tree, path string) ([]byte, error) {
	f, err := tree.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return content, err
}

// publicKey returns the PEM text of the key at path that signs PCR policies.
func (s Search) publicKey(path string) ([]byte, error) {
	return s.read(path, "tpm2-pcr-public-key.pem", policyDirs)
}

// signatures returns those of PCR policies that are known here.
func (s Search) signatures() (signatures, error) {
	raw, err := s.read(s.Signatures, "tpm2-pcr-signature.json", policyDirs)
	if err != nil {
		return nil, err
	}
	return parseSignatures(raw)
}

// pcrLock returns the policy of systemd-pcrlock.
func (s Search) pcrLock(path string) (lockPolicy, error) {
	raw, err := s.read(path, "pcrlock.json", lockDirs)
	if err != nil {
		return lockPolicy{}, err
	}
	return parseLockPolicy(raw)
}
