package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/luks2"
)

const luksFormat = "cryptsetup luksFormat -q --type luks2 --label lab --subsystem sub --sector-size 4096 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file KEY IMG"

// cryptsetup runs it on an image that mkfs made, with the key that lies beside.
func cryptsetup(t *testing.T, stdin, path string, args ...string) []byte {
	t.Helper()
	command := exec.Command(testenv.Need(t, "cryptsetup"), append(args, "-q", path)...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("cryptsetup %v: %v\n%s", args, err, out)
	}
	return out
}

// TestLUKS2: what we say of a volume is what cryptsetup put there.
func TestLUKS2(t *testing.T) {
	path := mkfs(t, 32*disk.MiB, luksFormat)
	key := filepath.Join(filepath.Dir(path), "key")
	cryptsetup(t, "", path, "luksAddKey", "--key-file", key, "--new-keyfile", key, "--key-slot", "5", "--pbkdf", "argon2id",
		"--pbkdf-force-iterations", "4", "--pbkdf-memory", "64", "--pbkdf-parallel", "1")
	cryptsetup(t, `{"type":"systemd-tpm2","keyslots":["5"],"tpm2-blob":"AA==","tpm2-pcrs":[7,11],"tpm2-pcr-bank":"sha256","tpm2-policy-hash":"00","tpm2-pin":true,"tpm2_pubkey_pcrs":[11],"tpm2_pcrlock":true}`,
		path, "token", "import", "--token-id", "2")
	cryptsetup(t, `{"type":"systemd-recovery","keyslots":["0"]}`, path, "token", "import", "--token-id", "4")
	got := judged(t, path)
	want := &disk.LUKS{
		HeaderSize: 16 * disk.KiB, SequenceID: got.LUKS.SequenceID, Subsystem: "sub", DataOffset: 16 * disk.MiB,
		Cipher: "aes-xts-plain64", KeyBits: 512, SectorSize: 4096,
		Keyslots:    []disk.Keyslot{{ID: 0, KDF: "pbkdf2"}, {ID: 5, KDF: "argon2id"}},
		KeyslotRoom: []disk.Bytes{16*disk.MiB - 32*disk.KiB - 2*258048}, JSONRoom: got.LUKS.JSONRoom, JSONEmptied: max(got.LUKS.JSONEmptied, got.LUKS.JSONRoom+700),
		Tokens: []disk.Token{
			{ID: 2, Type: "systemd-tpm2", Keyslots: []int{5}, PCRs: []int{7, 11}, Bank: "sha256", PIN: true, PublicKeyPCRs: []int{11}, PCRLock: true},
			{ID: 4, Type: "systemd-recovery", Keyslots: []int{0}},
		},
	}
	if diff := cmp.Diff(want, got.LUKS); diff != "" {
		t.Errorf("volume differs (-want +got):\n%s", diff)
	}
	if text := cryptsetup(t, "", path, "luksDump", "--dump-json-metadata"); got.LUKS.JSONRoom <= 12*disk.KiB-disk.Bytes(len(text)) || got.LUKS.JSONRoom > 12*disk.KiB-1000 {
		t.Errorf("its text has room for %d bytes more, and spread over lines it has %d", got.LUKS.JSONRoom, len(text))
	}
	_, dump, _ := strings.Cut(string(cryptsetup(t, "", path, "luksDump")), "Epoch:")
	if epoch := strings.Fields(dump)[0]; epoch != fmt.Sprint(got.LUKS.SequenceID) {
		t.Errorf("sequence id is %d, luksDump says %s", got.LUKS.SequenceID, epoch)
	}
}

// TestTokenFields: fields of the wrong type are absent, the others are not.
func TestTokenFields(t *testing.T) {
	token := luks2.Token{ID: 3, Type: "systemd-tpm2", Raw: []byte(`{"tpm2-pcrs":"7","tpm2-pcr-bank":7,"tpm2-pin":true}`)}
	if diff := cmp.Diff(disk.Token{ID: 3, Type: "systemd-tpm2", PIN: true}, describeToken(token)); diff != "" {
		t.Errorf("token differs (-want +got):\n%s", diff)
	}
}

// converting returns an image that cryptsetup has begun to encrypt in place, with
// the data shifted by 2 MiB, and what we say of it.
func converting(t *testing.T) (string, disk.Content) {
	path := mkfs(t, 32*disk.MiB, "mke2fs -q -F -t ext4 IMG 28M")
	cryptsetup(t, "", path, "reencrypt", "--encrypt", "--init-only", "--reduce-device-size", "4M", "--type", "luks2",
		"--key-file", filepath.Join(filepath.Dir(path), "key"), "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
	return path, judged(t, path)
}

// TestConversion: a volume in conversion is told from a finished one.
func TestConversion(t *testing.T) {
	path, got := converting(t)
	want := &disk.Reencryption{
		Mode: "encrypt", Direction: "backward", Resilience: "datashift", State: disk.ReencryptClean,
		Total: 28 * disk.MiB, Resume: [][]int{{0}},
	}
	if got.LUKS == nil {
		t.Fatalf("content is %+v", got)
	}
	if diff := cmp.Diff(want, got.LUKS.Reencryption); diff != "" {
		t.Errorf("conversion differs (-want +got):\n%s", diff)
	}
	if len(got.LUKS.Keyslots) != 1 {
		t.Errorf("keyslots are %+v", got.LUKS.Keyslots)
	}
	cryptsetup(t, "", path, "reencrypt", "--resume-only", "--force-offline-reencrypt", "--key-file", filepath.Join(filepath.Dir(path), "key"))
	if got := judged(t, path); got.LUKS == nil || got.LUKS.Reencryption != nil {
		t.Errorf("finished, and yet %+v", got)
	}
}

// TestResumeKeyslots: a change of the volume key is resumed by one keyslot of each
// key. cryptsetup says which digest lists which keyslots.
func TestResumeKeyslots(t *testing.T) {
	path := mkfs(t, 48*disk.MiB, "true")
	key := filepath.Join(filepath.Dir(path), "key")
	slot := []string{"--key-file", key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	cryptsetup(t, "", path, append([]string{"luksFormat", "--type", "luks2", "--key-slot", "3", "--offset", "16384"}, slot...)...)
	cryptsetup(t, "", path, append([]string{"reencrypt", "--init-only", "--force-offline-reencrypt"}, slot...)...)
	var metadata struct {
		Digests  map[string]struct{ Keyslots, Segments []string }
		Keyslots map[string]struct{ Type string }
	}
	if err := json.Unmarshal(cryptsetup(t, "", path, "luksDump", "--dump-json-metadata"), &metadata); err != nil {
		t.Fatal(err)
	}
	var theirs [2][]int // of the final key, whose digest lists no old keyslot, and of the previous one
	for _, d := range metadata.Digests {
		i := 0
		if slices.Contains(d.Keyslots, "3") {
			i = 1
		}
		for _, id := range d.Keyslots {
			if n, err := strconv.Atoi(id); err == nil && metadata.Keyslots[id].Type == "luks2" {
				theirs[i] = append(theirs[i], n)
			}
		}
		slices.Sort(theirs[i])
	}
	ours := judged(t, path)
	if ours.LUKS == nil || ours.LUKS.Reencryption == nil {
		t.Fatalf("%+v", ours)
	}
	if diff := cmp.Diff(theirs[:], ours.LUKS.Reencryption.Resume); diff != "" {
		t.Errorf("keyslots differ (-want +got):\n%s", diff)
	}
}

// TestStaged: a conversion that was cut off while it wrote the front of the volume
// is known by the header that was staged behind the data.
func TestStaged(t *testing.T) {
	const shift = 2 << 20
	path, want := converting(t)
	graft(t, path, 32<<20-2*shift, path, 0, shift)
	patch(t, path, 0x1C0, make([]byte, 64)) // the primary's checksum
	patch(t, path, 0x4000, make([]byte, 16))
	got := probed(t, path)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content differs (-before +after the damage):\n%s", diff)
	}
	patch(t, path, 32<<20-2*shift+0x1C0, make([]byte, 64))
	patch(t, path, 32<<20-2*shift+0x4000, make([]byte, 16))
	if got := probed(t, path); got.Kind != "crypto_LUKS" || got.LUKS != nil || got.Problem == "" {
		t.Errorf("no valid header anywhere, and yet %+v", got)
	}
}

// TestStagedElsewhere: a whole header at that place which is not of a conversion is
// no substitute.
func TestStagedElsewhere(t *testing.T) {
	path := mkfs(t, 64*disk.MiB, luksFormat)
	graft(t, path, 32<<20, path, 0, 16<<20)
	patch(t, path, 0x1C0, make([]byte, 64))
	patch(t, path, 0x4000, make([]byte, 16))
	if got := probed(t, path); got.LUKS != nil || got.Problem == "" {
		t.Errorf("content is %+v", got)
	}
}

// TestLUKS2Damaged: one lost copy is told and does not matter; two make a Problem; and a file
// system over the first is named beside it.
func TestLUKS2Damaged(t *testing.T) {
	path := mkfs(t, 32*disk.MiB, luksFormat)
	before := probed(t, path)
	patch(t, path, 0, make([]byte, 16<<10))
	before.LUKS.Recovered = "primary at byte 0: no magic"
	if diff := cmp.Diff(before, judged(t, path)); diff != "" {
		t.Errorf("without the first header more differs than that it is lost:\n%s", diff)
	}
	ext4 := mkfs(t, 32*disk.MiB, "mke2fs -q -F -t ext4 IMG")
	graft(t, path, 0, ext4, 0, 16<<10)
	if got := probed(t, path); got.Kind != "crypto_LUKS" || !cmp.Equal(got.Ambiguous, []string{"ext4"}) {
		t.Errorf("content is %+v", got)
	}
	patch(t, path, 0x4000+0x1C0, make([]byte, 64))
	if got := probed(t, path); got.Kind != "crypto_LUKS" || got.LUKS != nil || got.Problem == "" {
		t.Errorf("content is %+v", got)
	}
}

// TestConversionDamaged: a volume in conversion whose state makes no sense is not
// taken for a finished one.
func TestConversionDamaged(t *testing.T) {
	path, _ := converting(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, problem string }{
		{`"online-reencrypt-v2"`, `"online-reencrypt-v9"`, `re-encryption metadata: 1 keyslots record it, under the requirement "online-reencrypt-v9"`},
		{`["online-reencrypt-v2"]`, `[]`, "damaged LUKS2 header: both copies: a keyslot records a re-encryption, and no requirement tells of one"},
		{`"shift_size":"2097152"`, `"shift_size":"4096"`, "re-encryption metadata: data moves from byte 0 to 2097152, and the shift is 4096"},
	} {
		image := bytes.Clone(good)
		rewriteJSON(t, image, c.from, c.to)
		got, err := Content(bytes.NewReader(image), disk.Bytes(len(image)))
		if err != nil || got.LUKS != nil || got.Problem != c.problem {
			t.Errorf("%s: %v, %+v", c.to, err, got)
		}
	}
}

// TestLUKS2Beyond: a volume whose data would begin behind the device's end.
func TestLUKS2Beyond(t *testing.T) {
	image, err := os.ReadFile(mkfs(t, 20*disk.MiB, luksFormat))
	if err != nil {
		t.Fatal(err)
	}
	rewriteJSON(t, image, `"offset":"16777216"`, `"offset":"33554432"`)
	got, err := Content(bytes.NewReader(image), disk.Bytes(len(image)))
	if want := "the data begins at byte 33554432, behind the device's end at 20971520"; err != nil || got.LUKS != nil || got.Problem != want {
		t.Errorf("%v, content is %+v", err, got)
	}
}

// rewriteJSON replaces text in both copies of a header of 16 KiB, and signs them.
func rewriteJSON(t *testing.T, image []byte, from, to string) {
	t.Helper()
	for _, header := range [][]byte{image[:16<<10], image[16<<10 : 32<<10]} {
		text := string(bytes.TrimRight(header[4<<10:], "\x00"))
		if !strings.Contains(text, from) {
			t.Fatalf("there is no %s in %s", from, text)
		}
		clear(header[4<<10:])
		copy(header[4<<10:], strings.Replace(text, from, to, 1))
		clear(header[0x1C0:0x200])
		sum := sha256.Sum256(header)
		copy(header[0x1C0:], sum[:])
	}
}
