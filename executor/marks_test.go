package executor

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
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
	marks := []planner.Mark{{Number: 1, Extent: disk.Extent{Size: disk.Bytes(len(hostile))}, Tokens: []int{2}}}
	distrusted, err := CheckMarks(context.Background(), simdev.New(hostile), &planner.Plan{Marks: marks}, env)
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
