package kill

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/tests/rig"
)

var everyKind = flag.Bool("secrets", false, "look for secrets in the memory of every kind of run, not of two only")

// keeping is a kind of run that has the volume key for long.
type keeping struct {
	name       string
	more       bool   // only with -secrets
	definition string // of root, but for its keys
	start      int64  // of root, in sectors; 0: there is none yet
	header     string // a file; "": it is at the start of root
	until      string // what it reports when it is stopped
	times      int    // for which time it reports that
}

// encryptionOf is a definition that has root encrypted.
func encryptionOf(what string) string {
	return "partition = { type = \"root\", weight = 0 }\n[encryption]\n" + what + "\n"
}

var keepings = []keeping{
	{name: "shift", definition: encryptionOf(`existing = "convert"
header_room = "grow"`), start: 2048, until: "hot zone", times: 2},
	{name: "rekey", definition: encryptionOf(`existing = "rekey"
existing_key = "file:HERE/vendor"`), start: 2048, until: "hot zone", times: 2},
	{name: "gap", more: true, definition: encryptionOf(`existing = "convert"
free_space = "discard"
header_room = "gap"`), start: 65536, until: "hot zone", times: 2},
	{name: "detached", more: true, definition: encryptionOf(`existing = "convert"
header_room = "detached:HERE/header.img"`), start: 2048, header: "header.img", until: "hot zone", times: 2},
	{name: "create", more: true, definition: `partition = { type = "root" }
filesystem = { copy_blocks = "HERE/blocks" }
encryption = {}
`, until: `"began"`, times: 1},
}

// TestNoKeyInMemory stops runs while they work on data, and looks through all their memory. Each
// half of each volume key is there once, in locked memory that no core dump has; what opens a
// keyslot was used and is nowhere any more: passphrases, PINs, the secrets of TPMs and cards.
func TestNoKeyInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root reads the memory of a process that allows no core dumps")
	}
	for _, kind := range keepings {
		if kind.more && !*everyKind {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			k := newKeyring(t, kind)
			run := k.begin(t)
			k.check(t, run, k.learn(t))
			if !*everyKind || kind.start == 0 {
				run.signal(t, syscall.SIGKILL)
				_ = run.Wait() // it was killed
				return
			}
			// What is gone on with has its keys from what the header carries.
			run.signal(t, os.Interrupt)
			run.end(t, 3)
			run = k.begin(t)
			k.check(t, run, k.learn(t))
			run.end(t, 0)
		})
	}
}

// keyring is one of every kind of key, and a disk that is to have them.
type keyring struct {
	kind   keeping
	dir    string
	image  string
	tpm    string            // device
	hidden map[string][]byte // what is nowhere in memory
}

const (
	tpmPIN  = "a PIN of the tests for the TPM 7f3a"
	cardPIN = "a PIN of the tests for a card 91c4"
	softHSM = "/usr/lib/softhsm/libsofthsm2.so"
)

// newKeyring makes the keys, the definition and the disk.
func newKeyring(t *testing.T, kind keeping) *keyring {
	t.Helper()
	k := &keyring{kind: kind, dir: t.TempDir(), tpm: testenv.StartSWTPM(t)}
	k.image, k.hidden = filepath.Join(k.dir, "disk.img"), map[string][]byte{"the PIN of the TPM": []byte(tpmPIN), "the PIN of the card": []byte(cardPIN)}
	for _, name := range []string{"key", "vendor"} {
		key := make([]byte, 48)
		_, _ = rand.Read(key) // never fails
		rig.File(t, k.dir, name, string(key))
		k.hidden["the file "+name], k.hidden["half of the file "+name] = key, key[:24]
	}
	sum := sha256.Sum256([]byte(tpmPIN))
	k.hidden["what the PIN is for the TPM"] = sum[:]
	rig.File(t, k.dir, "tpm-pin", tpmPIN)
	rig.File(t, k.dir, "card-pin", cardPIN)
	card(t, k.dir)
	if err := os.Mkdir(filepath.Join(k.dir, "definitions"), 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, filepath.Join(k.dir, "definitions"), "10-root.toml", strings.ReplaceAll(kind.definition+keysOfAllKinds, "HERE", k.dir))
	k.disk(t)
	return k
}

// disk makes the disk: root has a file system or, where it is to be rekeyed, is a volume.
func (k *keyring) disk(t *testing.T) {
	t.Helper()
	const megabytes, blocks = 256, 1024
	rig.File(t, k.dir, "disk.img", "")
	if err := os.Truncate(k.image, (blocks+80)<<20); err != nil {
		t.Fatal(err)
	}
	if k.kind.start == 0 { // as much as takes its time to copy
		rig.Run(t, "dd", "if=/dev/zero", "of="+filepath.Join(k.dir, "blocks"), "bs=1M", fmt.Sprintf("count=%d", blocks), "status=none")
		return
	}
	content := rig.Ext4(t, k.dir, megabytes)
	if k.kind.name == "rekey" {
		rig.Run(t, "cryptsetup", "luksFormat", "--type", "luks2", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
			"--key-file", filepath.Join(k.dir, "vendor"), content)
	}
	rig.RunIn(t, fmt.Sprintf("label: gpt\nstart=%d, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", k.kind.start, megabytes*2048), "sfdisk", "-q", k.image)
	rig.Run(t, "dd", "if="+content, "of="+k.image, "bs=1M", fmt.Sprintf("seek=%d", k.kind.start/2048), "conv=notrunc,sparse", "status=none")
}

const keysOfAllKinds = `
[[encryption.key]]
type = "file"
[[encryption.key]]
type = "tpm2"
pcrs = [7]
pin = "file:HERE/tpm-pin"
[[encryption.key]]
type = "recovery"
path = "HERE/recovery"
[[encryption.key]]
type = "pkcs11"
uri = "pkcs11:token=luks;object=luks1"
module = "` + softHSM + `"
pin = "file:HERE/card-pin"
`

// card makes a token with a key pair.
func card(t *testing.T, dir string) {
	t.Helper()
	config := rig.File(t, dir, "softhsm2.conf", "directories.tokendir = "+dir+"/tokens\nlog.level = ERROR\n")
	if err := os.Mkdir(dir+"/tokens", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	rig.Run(t, "softhsm2-util", "--init-token", "--free", "--label", "luks", "--pin", cardPIN, "--so-pin", "5678")
	rig.Run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "luks", "--login", "--pin", cardPIN,
		"--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--label", "luks1", "--usage-decrypt")
}

// paused is a run that is stopped.
type paused struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// begin runs apply until it is in the middle of its work, and stops it there.
func (k *keyring) begin(t *testing.T) *paused {
	t.Helper()
	cmd := rig.WithModules(t, "apply", "--definitions", filepath.Join(k.dir, "definitions"), "--key-file", filepath.Join(k.dir, "key"),
		"--seed", rig.Seed, "--empty=allow", "--tpm2-device", k.tpm, "--progress", "json", k.image)
	cmd.Env = append(cmd.Env, "GOGC=off") // what is left behind stays where it is, and is found
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &paused{cmd, bufio.NewScanner(said)}
	for seen := 0; seen < k.kind.times; {
		switch line := s.next(t); {
		case line == "":
			t.Fatal("it ends too early")
		case strings.Contains(line, k.kind.until):
			seen++
		}
	}
	for k.kind.start == 0 && !k.hasHeader(t) {
		time.Sleep(time.Millisecond)
	}
	s.signal(t, syscall.SIGSTOP)
	return s
}

// hasHeader reports whether the header of a new partition is there, behind which the work on
// its data begins.
func (k *keyring) hasHeader(t *testing.T) bool {
	t.Helper()
	image, err := os.Open(k.image)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	magic := make([]byte, 4)
	_, err = image.ReadAt(magic, 1<<20)
	return err == nil && string(magic) == "LUKS"
}

// next returns the next line of what a run reports, "" at its end. What is no report goes to
// the log.
func (s *paused) next(t *testing.T) string {
	t.Helper()
	for s.lines.Scan() {
		if line := s.lines.Text(); strings.HasPrefix(line, `{"phase"`) {
			return line
		}
		t.Log(s.lines.Text())
	}
	return ""
}

func (s *paused) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// end lets a run finish, with an exit code.
func (s *paused) end(t *testing.T, code int) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
	for s.next(t) != "" {
	}
	_ = s.Wait() // what it ended with is looked at below
	if got := s.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit code %d, want %d", got, code)
	}
}

// learn opens every keyslot and returns the volume keys, which must be there once. What opens
// them must be there nowhere.
func (k *keyring) learn(t *testing.T) (volumeKeys [][]byte) {
	t.Helper()
	path, offset := filepath.Join(k.dir, k.kind.header), int64(0)
	if k.kind.header == "" {
		path, offset = k.image, 1<<20
	}
	if k.kind.name == "gap" {
		offset = rig.Find(t, k.image, "root").Start * 512
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	part := io.NewSectionReader(file, offset, 1<<40)
	header, err := luks2.Read(part, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range header.Keyslots() {
		if slot.Type != "luks2" {
			continue
		}
		key, err := header.OpenKeyslot(t.Context(), part, slot.ID, k.passphraseOf(t, header, slot.ID))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(volumeKeys, func(other []byte) bool { return bytes.Equal(other, key) }) {
			volumeKeys = append(volumeKeys, key)
		}
	}
	return volumeKeys
}

// passphraseOf brings back what opens a keyslot, by the tools of others where there are some.
func (k *keyring) passphraseOf(t *testing.T, header *luks2.Header, slot int) []byte {
	t.Helper()
	for _, token := range header.Tokens() {
		if !slices.Contains(token.Keyslots, slot) {
			continue
		}
		switch token.Type {
		case "systemd-tpm2":
			return k.fromTPM(t, token.Raw)
		case "systemd-pkcs11":
			return k.fromCard(t, token.Raw)
		case "systemd-recovery":
			text, err := os.ReadFile(filepath.Join(k.dir, "recovery"))
			if err != nil {
				t.Fatal(err)
			}
			k.hidden["the recovery key"] = text
			return text
		}
	}
	return k.hidden["the file key"]
}

func (k *keyring) fromTPM(t *testing.T, raw []byte) []byte {
	t.Helper()
	tpm, err := tpm2.Open(t.Context(), k.tpm)
	if err != nil {
		t.Fatal(err)
	}
	defer tpm.Close()
	token, err := tpm2.ParseToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := tpm.Unseal(token, []byte(tpmPIN))
	if err != nil {
		t.Fatal(err)
	}
	k.hidden["the secret of the TPM"] = plain
	k.hidden["the secret of the TPM in base64"] = tpm2.Passphrase(plain)
	return tpm2.Passphrase(plain)
}

func (k *keyring) fromCard(t *testing.T, raw []byte) []byte {
	t.Helper()
	var token struct {
		Key []byte `json:"pkcs11-key"`
	}
	if err := json.Unmarshal(raw, &token); err != nil {
		t.Fatal(err)
	}
	plain := []byte(rig.Run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "luks", "--login", "--pin", cardPIN,
		"--decrypt", "--mechanism", "RSA-PKCS", "--id", "01", "--input-file", rig.File(t, k.dir, "wrapped", string(token.Key))))
	text := []byte(base64.StdEncoding.EncodeToString(plain))
	k.hidden["the secret of the card"], k.hidden["the secret of the card in base64"] = plain, text
	return text
}

// check demands that each half of a volume key is once in a run's memory, where it is locked
// and left out of dumps, and that nothing is there that opens a keyslot.
func (k *keyring) check(t *testing.T, s *paused, volumeKeys [][]byte) {
	t.Helper()
	once := map[string][]byte{}
	for i, key := range volumeKeys {
		once[fmt.Sprintf("the first half of volume key %d", i+1)] = key[:len(key)/2]
		once[fmt.Sprintf("the second half of volume key %d", i+1)] = key[len(key)/2:]
	}
	all := maps.Clone(k.hidden)
	maps.Copy(all, once)
	all["the definition"] = []byte("10-root.toml")
	found := search(t, s.Process.Pid, all)
	if len(found["the definition"]) == 0 {
		t.Error("the search does not find what must be there")
	}
	for _, what := range slices.Sorted(maps.Keys(k.hidden)) {
		if len(found[what]) > 0 {
			t.Errorf("%s is %d times in memory: %v", what, len(found[what]), found[what])
		}
	}
	for _, what := range slices.Sorted(maps.Keys(once)) {
		switch places := found[what]; {
		case len(places) != 1:
			t.Errorf("%s is %d times in memory: %v", what, len(places), places)
		case !places[0].is("lo") || !places[0].is("dd"):
			t.Errorf("%s is not in locked memory that is left out of dumps: %v", what, places)
		}
	}
}
