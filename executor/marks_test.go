package executor

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

const markRekeyed = `{"type":"sealpart-rekeyed","keyslots":[]}`

// TestForgedRekeyed: who has the disk cannot keep a vendor's volume from being rekeyed by
// writing that it has been.
func TestForgedRekeyed(t *testing.T) {
	for name, token := range map[string]string{
		"no MAC": markRekeyed, "a MAC": `{"type":"sealpart-rekeyed","keyslots":[],"mac":"` + strings.Repeat("00", 32) + `"}`,
		"with the vendor's keyslots": `{"type":"sealpart-rekeyed","keyslots":["0"]}`,
	} {
		image, plain := rekeyDisk(t)
		dev := simdev.New(image)
		forge(t, dev, token)
		var said []string
		if err := applyTold(t, dev, rekeyDefinition, nil, heard(&said), tokenless{}); err != nil {
			t.Fatal(name, err)
		}
		checkSaid(t, name, said, "it would have the volume count as rekeyed")
		checkRekeyed(t, dev, plain, false)
		if n := len(notesOf(gapHeader(t, dev), disk.TokenRekeyed)); n != 1 {
			t.Errorf("%s: %d marks", name, n)
		}
		before := string(dev.Bytes())
		if err := applyTold(t, dev, rekeyDefinition, nil, heard(&said), tokenless{}); err != nil || len(said) != 1 || string(dev.Bytes()) != before {
			t.Errorf("%s: again: %v, %q", name, err, said)
		}
	}
}

// TestUncheckedMark: where no key opens the volume its mark stands, and that is said; so it
// is for a header that nobody may open, and for that no key is asked for.
func TestUncheckedMark(t *testing.T) {
	image, _ := rekeyDisk(t)
	dev := simdev.New(image)
	if err := applyTo(t, dev, rekeyDefinition, tokenless{}); err != nil {
		t.Fatal(err)
	}
	before := string(dev.Bytes())
	var said []string
	if err := applyTold(t, dev, rekeyDefinition, nil, heard(&said)); err != nil || string(dev.Bytes()) != before {
		t.Errorf("%v, or the disk differs", err)
	}
	const want = "unchecked: partition 1: whether tokens [2] are the volume's own could not be checked: no key opens this volume: "
	if len(said) != 1 || !strings.HasPrefix(said[0], want) || !strings.HasSuffix(said[0], "existing key file:/vendor: no keyslot opens with this passphrase") {
		t.Errorf("said %q", said)
	}
	said = nil
	asked := 0
	env := testEnv(t)
	env.Report, env.Sealers, env.Keys = heard(&said), []Sealer{watched{passphrase: passphrase, asked: &asked}}, []definitions.Key{{Type: "file"}}
	hostile := forged(t, read(t, dev, gapData), `"config":\{`, `"config":{"requirements":{"mandatory":["new-thing"]},`)
	marks := []plan.Mark{{Number: 1, Extent: disk.Extent{Size: disk.Bytes(len(hostile))}, Tokens: []int{2}}}
	distrusted, err := CheckMarks(context.Background(), simdev.New(hostile), &plan.Plan{Marks: marks}, env)
	if err != nil || len(distrusted) > 0 || asked > 0 || len(said) != 1 || !strings.Contains(said[0], `the volume requires "new-thing"`) {
		t.Errorf("%v, %v, asked %d times, said %q", distrusted, err, asked, said)
	}
}

// TestForgedFileMark: a vendor's keyslot that is marked as that of the definition's key file
// does not pass for it: the file's key comes, and the vendor's goes. Nor does a note that the
// volume waits for the file's key have it added again and again.
func TestForgedFileMark(t *testing.T) {
	enroll := map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "enroll", existing_key = "file:/vendor", key = [{ type = "file" }] }`}
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	forge(t, dev, `{"type":"sealpart-file","keyslots":["0"]}`)
	var said []string
	if err := applyTold(t, dev, enroll, nil, heard(&said), tokenless{}); err != nil {
		t.Fatal(err)
	}
	if len(said) == 0 || !strings.Contains(said[0], "it would have keyslots [0] count as those of a key file of the definition") {
		t.Errorf("said %q", said)
	}
	header := gapHeader(t, dev)
	notes := notesOf(header, disk.TokenFile)
	slots := holding(header, luks2.HoldsFinal)
	if len(notes) != 1 || slices.Contains(slots, 0) || slices.Contains(slots, 2) {
		t.Errorf("keyslots %v, notes %v", slots, notes)
	}
	forge(t, dev, `{"type":"sealpart-awaits","keyslots":[],"keys":["file"]}`)
	before := string(dev.Bytes())
	said = nil
	if err := applyTold(t, dev, enroll, nil, heard(&said), tokenless{}); err != nil || string(dev.Bytes()) != before {
		t.Errorf("%v, or the disk differs", err)
	}
	checkSaid(t, "awaits", said, `it would have keys added (["file"])`)
}

// gapVolume returns the volume of gapImage, and its header.
func gapVolume(t *testing.T, dev *simdev.Device) (*blockdev.Section, *luks2.Header) {
	t.Helper()
	part, err := blockdev.NewSection(dev, gapData)
	if err != nil {
		t.Fatal(err)
	}
	header, err := luks2.Read(part, int64(part.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return part, header
}

// gapHeader returns the header of the volume of gapImage.
func gapHeader(t *testing.T, dev *simdev.Device) *luks2.Header {
	t.Helper()
	_, header := gapVolume(t, dev)
	return header
}

// tokened is a key of some kind with a token, which guards the chip's passphrase.
type tokened struct {
	chip
	kind, token string
}

func (k tokened) Kind() string { return k.kind }

func (k tokened) TokenType() string {
	_, rest, _ := strings.Cut(k.token, `"type":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func (k tokened) Seal(ctx context.Context, key definitions.Key) (Sealed, error) {
	sealed, err := k.chip.Seal(ctx, key)
	sealed.Token = []byte(k.token)
	sealed.HandedOut = k.kind == definitions.KeyRecovery
	return sealed, err
}

func (k tokened) Unseal(ctx context.Context, key definitions.Key, raw []byte) (*secret.Buffer, error) {
	if k.kind == definitions.KeyRecovery {
		return nil, errBoom // it is on paper
	}
	return k.chip.Unseal(ctx, key, raw)
}

// keyKinds are the kinds of key with tokens: how a definition names one, and its token.
var keyKinds = map[string]struct{ key, token string }{
	definitions.KeyTPM2:     {`{ type = "tpm2", pcrs = [7] }`, `{"type":"systemd-tpm2","keyslots":[],"tpm2-pcrs":[7],"tpm2-pcr-bank":"sha256"}`},
	definitions.KeyPKCS11:   {`{ type = "pkcs11", uri = "pkcs11:token=t;object=k" }`, `{"type":"systemd-pkcs11","keyslots":[],"pkcs11-uri":"pkcs11:token=t;object=k"}`},
	definitions.KeyRecovery: {`{ type = "recovery" }`, `{"type":"systemd-recovery","keyslots":[]}`},
	definitions.KeyCommand:  {`{ type = "command", program = "/usr/lib/hsm" }`, `{"type":"sealpart-command","keyslots":[],"module":"hsm"}`},
}

// TestForgedKeyToken: a token that says what the definition wants, on a keyslot of the vendor's,
// is no key of the definition: that comes, and the vendor's go. It is so for every kind of key,
// and where several such tokens are there. What was made here counts in every later run.
func TestForgedKeyToken(t *testing.T) {
	volume := vendorVolume(t)
	for kind, k := range keyKinds {
		// The file's key is there for the machine; the other one is what this is about.
		definition := map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "enroll", existing_key = "file:/vendor", key = [` + k.key + `, { type = "file" }] }`}
		sealers := []Sealer{tokened{kind: kind, token: k.token}, tokenless{}}
		dev := simdev.New(gapImage(t, volume))
		for _, slot := range []string{"0", "2"} {
			forge(t, dev, strings.Replace(k.token, `[]`, `["`+slot+`"]`, 1))
		}
		var said []string
		if err := applyTold(t, dev, definition, nil, heard(&said), sealers...); err != nil {
			t.Fatal(kind, err, said)
		}
		if len(said) != 2 || !strings.Contains(said[0], "does not count as a key of the definition: it has no valid MAC of the volume's key, and nothing opens keyslots [0] by it here") {
			t.Errorf("%s: said %q", kind, said)
		}
		if !opensAs(t, read(t, dev, gapData), map[string]bool{passphrase: true, tpmPassphrase: true, vendorPassphrase: false}) {
			t.Errorf("%s: the volume does not open by the definition's keys alone", kind)
		}
		before := string(dev.Bytes())
		said = nil
		if err := applyTold(t, dev, definition, nil, heard(&said), sealers...); err != nil || len(said) > 0 || string(dev.Bytes()) != before {
			t.Errorf("%s: again: %v, said %q, or the disk differs", kind, err, said)
		}
		forgeMAC(t, dev, kind, sealers[0].TokenType())
		if err := applyTold(t, dev, definition, nil, heard(&said), sealers...); err != nil {
			t.Errorf("%s: with another MAC: %v", kind, err)
		}
		if asked := kind != definitions.KeyRecovery; asked == (len(said) > 0) {
			t.Errorf("%s: with another MAC: said %q", kind, said)
		}
	}
}

// forgeMAC spoils the MAC of the token of a type.
func forgeMAC(t *testing.T, dev *simdev.Device, kind, tokenType string) {
	t.Helper()
	part, header := gapVolume(t, dev)
	found := notesOf(header, tokenType)
	if len(found) != 1 || !strings.Contains(string(found[0].Raw), `"`+disk.TokenMAC+`"`) {
		t.Fatalf("%s: tokens %v", kind, found)
	}
	members, err := membersOf(found[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	members[disk.TokenMAC] = strings.Repeat("00", 32)
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(header.SetToken(found[0].ID, raw), header.Commit(part)); err != nil {
		t.Fatal(err)
	}
}

// TestKeyTokenOfOthers: a key that another program enrolled has no MAC of ours. It counts where
// it opens its keyslot, and then nothing is said and nothing written.
func TestKeyTokenOfOthers(t *testing.T) {
	k := keyKinds[definitions.KeyTPM2]
	definition := map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "enroll", key = [` + k.key + `] }`}
	file := fileOf(t, vendorVolume(t))
	tool(t, "cryptsetup", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "luksAddKey",
		"--key-file", fileOf(t, []byte(vendorPassphrase)), file, fileOf(t, []byte(tpmPassphrase)))
	dev := simdev.New(gapImage(t, readFileOf(t, file)))
	forge(t, dev, strings.Replace(k.token, `[]`, `["3"]`, 1))
	before := string(dev.Bytes())
	var said []string
	if err := applyTold(t, dev, definition, nil, heard(&said), chip{}); err != nil || len(said) > 0 || string(dev.Bytes()) != before {
		t.Errorf("%v, said %q, or the disk differs", err, said)
	}
}
