package module

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
)

// module writes a module in shell and returns the key that names it.
func module(t *testing.T, script string) definitions.Key {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return definitions.Key{Type: definitions.KeyCommand, Program: path, Timeout: 10}
}

// rot13 locks and unlocks by the same step.
const rot13 = `tr 'A-Za-z' 'N-ZA-Mn-za-m'; [ "$1" = unlock ] || printf "%s" "$#" >"$0.arguments"`

// TestSealUnseal: what is locked is unlocked, by the key's own program, by that of another
// definition, and by the one that is installed under the name.
func TestSealUnseal(t *testing.T) {
	key := module(t, rot13)
	key.Arguments = []string{"--slot", "3 4"}
	sealed, err := Sealer{}.Seal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Passphrase.Wipe()
	if n, err := os.ReadFile(key.Program + ".arguments"); err != nil || string(n) != "3" {
		t.Errorf("the module was given %q arguments (%v)", n, err)
	}
	if bytes.Contains(sealed.Token, sealed.Passphrase.Bytes()) {
		t.Error("the token holds the passphrase")
	}
	ways := map[string]struct {
		s   Sealer
		key definitions.Key
	}{
		"its own":   {Sealer{}, key},
		"known":     {Sealer{Known: []definitions.Key{key}}, definitions.Key{}},
		"installed": {Sealer{Dirs: []string{"/nonexistent", filepath.Dir(key.Program)}}, definitions.Key{}},
	}
	for name, way := range ways {
		got, err := way.s.Unseal(t.Context(), way.key, sealed.Token)
		if err != nil || !bytes.Equal(got.Bytes(), sealed.Passphrase.Bytes()) {
			t.Errorf("%s: %v", name, err)
		}
		got.Wipe()
	}
	if _, err := (Sealer{Dirs: []string{"/nonexistent"}}).Unseal(t.Context(), definitions.Key{}, sealed.Token); err == nil || !strings.Contains(err.Error(), "is not installed") {
		t.Errorf("a module that is not there: %v", err)
	}
}

// TestHostileModules: whatever a module does is an error that names it, and never a hang.
func TestHostileModules(t *testing.T) {
	for script, want := range map[string]string{
		"":                             "module lock: it wrote nothing",
		"exit 3":                       "exit status 3",
		"echo no such slot >&2; false": `exit status 1: "no such slot"`,
		"cat /dev/zero":                "it wrote more than 4096 bytes",
		"head -c 4097 /dev/zero":       "it wrote more than 4096 bytes",
		"sleep 60":                     "it did not end within 1s",
		"sleep 60 & echo blob":         "it did not end within 1s",
		"exec <&-; sleep 60 >&2":       "it did not end within 1s",
		"kill -9 $$":                   "signal: killed",
		"echo blob; exit 1":            "exit status 1",
		`printf '\033[31m' >&2; false`: `"\x1b[31m"`,
	} {
		key := module(t, script)
		key.Timeout = 1
		began := time.Now()
		sealed, err := Sealer{}.Seal(t.Context(), key)
		if err == nil || !strings.Contains(err.Error(), want) || sealed.Passphrase != nil {
			t.Errorf("%q: %v, not %q", script, err, want)
		}
		if time.Since(began) > 5*time.Second {
			t.Errorf("%q took %s", script, time.Since(began))
		}
	}
}

// TestNothingStays: what a module leaves running ends with it.
func TestNothingStays(t *testing.T) {
	key := module(t, `sleep 60 >/dev/null 2>&1 & echo $! >"$0.pid"; cat`)
	sealed, err := Sealer{}.Seal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	sealed.Passphrase.Wipe()
	pid, err := os.ReadFile(key.Program + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it still runs: %s", state)
		}
	}
}

// TestRetries: a module that fails twice is tried a third time, if the definition says so.
func TestRetries(t *testing.T) {
	const script = `n=$(cat "$0.n" 2>/dev/null); echo x$n >"$0.n"; [ "$n" = xx ] && cat`
	for retries, works := range map[int]bool{0: false, 1: false, 2: true, 5: true} {
		key := module(t, script)
		key.Retries = retries
		if _, err := (Sealer{}).Seal(t.Context(), key); (err == nil) != works || err != nil && !strings.Contains(err.Error(), "module lock: exit status 1") {
			t.Errorf("%d retries: %v", retries, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key := module(t, "cat")
	key.Retries = 1000
	if _, err := (Sealer{}).Seal(ctx, key); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("it ran although it was to stop: %v", err)
	}
}

// TestUntrustedPrograms: a program that others could have written does not learn the key.
func TestUntrustedPrograms(t *testing.T) {
	key := module(t, "cat")
	for mode, want := range map[os.FileMode]string{
		0o755: "", 0o500: "", 0o600: "is no program that can be run",
		0o775: "(-rwxrwxr-x) can be changed by others", 0o757: "(-rwxr-xrwx) can be changed by others",
	} {
		if err := os.Chmod(key.Program, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := (Sealer{}).Seal(t.Context(), key); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("mode %s: %v, not %q", mode, err, want)
		}
	}
	key.Program = filepath.Dir(key.Program)
	if _, err := (Sealer{}).Seal(t.Context(), key); err == nil || !strings.Contains(err.Error(), "is no program that can be run") {
		t.Errorf("a folder was run: %v", err)
	}
}

// TestOwnerOfAModule: one that belongs to somebody else learns nothing, whatever its mode.
func TestOwnerOfAModule(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	key := module(t, "cat; echo ran >\"$0.ran\"")
	if err := os.Chown(key.Program, 12345, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := (Sealer{}).Seal(t.Context(), key); err == nil || !strings.Contains(err.Error(), key.Program) || !strings.Contains(err.Error(), " belongs to ") {
		t.Errorf("a module of somebody else: %v", err)
	}
	if _, err := os.Stat(key.Program + ".ran"); !os.IsNotExist(err) {
		t.Errorf("it ran (%v)", err)
	}
}

// hostileTokens are none that we wrote.
var hostileTokens = []string{
	``, `null`, `[]`, `{"type":"sealpart-command"}`, `{"type":"sealpart-command","module":"m"}`,
	`{"type":"sealpart-command","module":"../../bin/sh","blob":"AA=="}`, `{"type":"sealpart-command","module":"/bin/sh","blob":"AA=="}`,
	`{"type":"sealpart-command","module":"","blob":"AA=="}`, `{"type":"sealpart-command","module":".","blob":"AA=="}`,
	`{"type":"sealpart-command","module":"m","blob":"*"}`, `{"type":"systemd-tpm2","module":"m","blob":"AA=="}`,
	`{"type":"sealpart-command","module":"m\u0000","blob":"AA=="}`, `{"type":"sealpart-command","module":7,"blob":"AA=="}`,
}

// TestHostileTokens: nothing runs that a header chooses.
func TestHostileTokens(t *testing.T) {
	const form, kind, name, blob = "the token of the key module: ", "the token is of the type ", "which is no name of a program", "the token has no blob of the key module"
	reasons := []string{form, kind, form, name, blob, name, name, name, name, form, kind, name, form}
	for i, raw := range hostileTokens {
		_, err := (Sealer{Dirs: []string{"/usr/bin"}}).Unseal(t.Context(), definitions.Key{}, []byte(raw))
		if err == nil || !strings.Contains(err.Error(), reasons[i]) {
			t.Errorf("%s: %v, not %q", raw, err, reasons[i])
		}
	}
	large, err := json.Marshal(token{Type: TokenType, Module: "m", Blob: make([]byte, maxBlob+1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseToken(large); err == nil || !strings.Contains(err.Error(), "the token has no blob of the key module, or one that is too large") {
		t.Errorf("a blob that is too large was taken: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	for _, raw := range append(hostileTokens, `{"type":"sealpart-command","keyslots":["0"],"module":"m","blob":"AA=="}`) {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		parsed, err := parseToken(raw)
		if err == nil && (filepath.Base(parsed.Module) != parsed.Module || parsed.Module == ".." || len(parsed.Blob) == 0) {
			t.Errorf("%+v was taken", parsed)
		}
	})
}

// TestReceive: what is read may be as long as the limit, and comes out of locked memory.
func TestReceive(t *testing.T) {
	got, err := receive(strings.NewReader(strings.Repeat("x", 10)), 10)
	if err != nil || len(got.Bytes()) != 10 {
		t.Fatalf("%v, %v", got, err)
	}
	var _ *secret.Buffer = got
	got.Wipe()
}

// TestChildKeepsPipe: the timeout holds also where a child that has left the module's
// process group keeps its pipes, and whether or not the module has ended.
func TestChildKeepsPipe(t *testing.T) {
	for _, script := range []string{"setsid sleep 20 & exit 0", "setsid sleep 20 & exit 1", "setsid sleep 20 & wait", "setsid sleep 20 <&0 & exit 0"} {
		key := module(t, script)
		key.Timeout = 1
		began := time.Now()
		_, err := Sealer{}.Seal(t.Context(), key)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "it did not end within 1s") || took > 5*time.Second {
			t.Errorf("%s: %v after %s", script, err, took)
		}
	}
}
