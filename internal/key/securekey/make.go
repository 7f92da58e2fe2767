package securekey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
)

// Maker makes secure keys.
type Maker struct {
	Devices string // where adapters are looked for: Devices, unless in tests
}

// Devices is where the kernel shows adapters and their domains.
const Devices = "/sys/bus/ap/devices"

// Make makes an AES-256 key for XTS, which zkey knows by the name.
func (m Maker) Make(ctx context.Context, k definitions.SecureKey, name string) (made key.SecureKey, err error) {
	apqns := k.APQNs
	if len(apqns) == 0 {
		if apqns, err = online(m.Devices); err != nil {
			return made, err
		}
	}
	repository := k.Repository
	if repository == "" {
		temp, err := resolve.Temp("")
		if err != nil {
			return made, err
		}
		if repository, err = os.MkdirTemp(temp, "sealpart-zkey-*"); err != nil {
			return made, err
		}
		defer os.RemoveAll(repository)
	}
	err = run(ctx, repository, "generate", "--name", name, "--keybits", "256", "--xts", "--key-type", k.KeyType, "--apqns", strings.Join(apqns, ","))
	if err != nil {
		return made, err
	}
	return take(filepath.Join(repository, name), k.Bits()/8)
}

// take reads what zkey made.
func take(path string, size int) (made key.SecureKey, err error) {
	info, err := read(path+".info", maxInfo)
	if err != nil {
		return made, err
	}
	if made.Pattern, err = pattern(info); err != nil {
		return made, err
	}
	blob, err := read(path+".skey", size)
	if err != nil {
		return made, err
	}
	if len(blob) != size {
		return made, fmt.Errorf("zkey made a key of %d bytes, and it should have %d", len(blob), size)
	}
	made.Blob, err = secret.Take(blob)
	return made, err
}

// maxInfo bounds the properties of a key, in bytes.
const maxInfo = 64 << 10

// read returns a file that has at most limit bytes.
func read(path string, limit int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("zkey made no key: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), limit)
	}
	return content, err
}

var patternForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// pattern returns the verification pattern among the properties of a key, a line each.
func pattern(info []byte) (string, error) {
	for line := range strings.Lines(string(info)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name == "verification-pattern" && patternForm.MatchString(value) {
			return value, nil
		}
	}
	return "", errors.New("zkey made a key without a verification pattern: is the kernel's module paes_s390 there?")
}
