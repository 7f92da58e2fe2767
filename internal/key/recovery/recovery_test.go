package recovery

import (
	"bytes"
	"crypto/rand"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/modhex"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestQR: a reader of QR codes finds the key in what is drawn on the terminal.
func TestQR(t *testing.T) {
	zbarimg := testenv.Need(t, "zbarimg")
	key, err := modhex.Random(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := write(&said, key); err != nil {
		t.Fatal(err)
	}
	var code []string
	for line := range strings.Lines(said.String()) {
		if strings.ContainsAny(line, "█▀▄") {
			code = append(code, strings.TrimRight(line, "\n"))
		}
	}
	file := filepath.Join(t.TempDir(), "code.png")
	photograph(t, code, file)
	out, err := exec.Command(zbarimg, "-q", "--raw", file).Output()
	if err != nil || strings.TrimSpace(string(out)) != string(key.Bytes()) {
		t.Errorf("read as %q, not %q: %v\n%s", out, key.Bytes(), err, said.String())
	}
}

// photograph makes an image of a terminal, light on dark, four dots a module.
func photograph(t *testing.T, lines []string, file string) {
	t.Helper()
	width := 0
	for _, line := range lines {
		width = max(width, len([]rune(line)))
	}
	screen := image.NewGray(image.Rect(0, 0, 4*(width+4), 8*(len(lines)+2)))
	for row, line := range lines {
		for column, r := range []rune(line) {
			for y := range 8 {
				if r == '█' || r == '▀' && y < 4 || r == '▄' && y >= 4 {
					for x := range 4 {
						screen.Set(4*column+x, 8*(row+1)+y, color.White)
					}
				}
			}
		}
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(out, screen), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestEscrow: each recipient alone reads the key, and nobody from less than the whole
// file. Recipients of two generations cannot be mixed (age refuses it).
func TestEscrow(t *testing.T) {
	one, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	two, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	later, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	key := definitions.Key{Type: definitions.KeyRecovery, Escrow: []string{one.Recipient().String(), two.Recipient().String()}}
	sealed, err := Sealer{}.Seal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Passphrase.Wipe()
	file := Escrow(sealed.Token)
	for _, identity := range []age.Identity{one, two} {
		if text, err := decrypt(file, identity); err != nil || !bytes.Equal(text, sealed.Passphrase.Bytes()) {
			t.Errorf("%q, %v", text, err)
		}
	}
	for n := range file {
		if text, err := decrypt(file[:n], one); err == nil || !errors.Is(err, io.ErrUnexpectedEOF) && !strings.HasPrefix(err.Error(), "failed to read ") && !strings.HasPrefix(err.Error(), "failed to decrypt and authenticate ") {
			t.Fatalf("the first %d of %d bytes give %q: %v", n, len(file), text, err)
		}
	}
	key.Escrow = append(key.Escrow, later.Recipient().String())
	if _, err := (Sealer{}).Seal(t.Context(), key); err == nil || !strings.Contains(err.Error(), "escrow: incompatible recipients") {
		t.Errorf("recipients of two generations: %v", err)
	}
}

func decrypt(file []byte, identity age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), identity)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	_, err = text.ReadFrom(r)
	return text.Bytes(), err
}

// TestForeignTokens: tokens of others have no escrow, whatever they say.
func TestForeignTokens(t *testing.T) {
	for _, raw := range []string{
		``, `[]`, `{"type":"systemd-recovery","keyslots":["1"]}`, `{"type":"systemd-recovery","sealpart-escrow":7}`,
		`{"type":"systemd-recovery","sealpart-escrow":"not base64"}`, `{"type":"systemd-recovery","sealpart-escrow":"YWdl"}`,
		`{"type":"systemd-tpm2","sealpart-escrow":"YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="}`,
	} {
		if got := Escrow([]byte(raw)); got != nil {
			t.Errorf("%s: %q", raw, got)
		}
	}
}

// TestKeyIsKept: the file is its owner's alone, holds the key, and is used again; what
// is no key, or may be known to others, is refused.
func TestKeyIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key := definitions.Key{Type: definitions.KeyRecovery, Path: path}
	first, err := Sealer{}.Seal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || !bytes.Equal(text, first.Passphrase.Bytes()) || info.Mode() != 0o600 {
		t.Fatalf("%q, %v, %v", text, err, info.Mode())
	}
	second, err := Sealer{}.Seal(t.Context(), key)
	if err != nil || !bytes.Equal(second.Passphrase.Bytes(), first.Passphrase.Bytes()) {
		t.Errorf("the file's key was not used: %v", err)
	}
	for _, c := range []struct {
		text, want string
		mode       fs.FileMode
	}{
		{string(text), "is not a file of one owner", 0o640},
		{string(text[1:]), "does not hold a recovery key", 0o600},
		{strings.ToUpper(string(text)), "does not hold a recovery key", 0o600},
		{string(text) + string(text), "does not hold a recovery key", 0o600},
		{"", "does not hold a recovery key", 0o600},
	} {
		if err := errors.Join(os.WriteFile(path, []byte(c.text), 0o600), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := (Sealer{}).Seal(t.Context(), key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	key.Path = filepath.Join(path, "below")
	if _, err := (Sealer{}).Seal(t.Context(), key); err == nil || !strings.Contains(err.Error(), "write the recovery key") {
		t.Error(err)
	}
}

// TestNowhereToShow: without a terminal nothing is shown.
func TestNowhereToShow(t *testing.T) {
	for _, terminal := range []string{"", filepath.Join(t.TempDir(), "none"), "/dev/null"} {
		_, err := Sealer{Terminal: terminal}.Seal(t.Context(), definitions.Key{Type: definitions.KeyRecovery})
		if want := new(noTerminalError); !errors.As(err, want) {
			t.Errorf("%q: %v", terminal, err)
		}
	}
	if _, err := (Sealer{}).Unseal(t.Context(), definitions.Key{}, nil); err == nil || !strings.Contains(err.Error(), "a recovery key is kept by people") {
		t.Errorf("unsealed: %v", err)
	}
}

// FuzzEscrow: a header may hold anything; what is taken for an age file begins as one.
func FuzzEscrow(f *testing.F) {
	f.Add([]byte(`{"type":"systemd-recovery","keyslots":["1"],"sealpart-escrow":"YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if file := Escrow(raw); file != nil && !bytes.HasPrefix(file, []byte("age-encryption.org/")) {
			t.Errorf("%q", file)
		}
	})
}
