package executor

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// rekeyDefinition asks for the only partition, a volume of the vendor's, to be put
// under keys of its own.
var rekeyDefinition = map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "rekey", existing_key = "file:/vendor", key = [{ type = "file" }] }`}

// tokenless is the stub as a key file is: it writes no token.
type tokenless struct{ fileStub }

func (tokenless) TokenType() string { return "" }

func (s tokenless) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	sealed, err := s.fileStub.Seal(ctx, k)
	sealed.Token = nil
	return sealed, err
}

// rekeyDisk is a disk with a volume of the vendor's, made by cryptsetup's rules.
func rekeyDisk(t testing.TB) (image, plain []byte) {
	t.Helper()
	m := mode{sector: 512, rekey: true}
	w := m.newWorld(t)
	part := make([]byte, gapData.Size)
	copy(part, w.part.Bytes())
	return gapImage(t, part), w.plain
}

// checkRekeyed demands the vendor's data under the new key, by cryptsetup's judgement
// too, and the vendor shut out.
func checkRekeyed(t testing.TB, dev *simdev.Device, plain []byte, judge bool) {
	t.Helper()
	w := &world{mode: mode{rekey: true}, plain: plain, part: simdev.New(read(t, dev, gapData))}
	w.home = w.part
	w.check(t, "rekeyed")
	if !judge {
		return
	}
	file := fileOf(t, w.part.Bytes())
	tool(t, "cryptsetup", "open", "--test-passphrase", "--key-file", fileOf(t, []byte(passphrase)), file)
}

// TestCrashWithRekey cuts the power anywhere in a run that puts a volume under
// another key. The next run has no key but those that the disk and the TPM hold.
func TestCrashWithRekey(t *testing.T) {
	image, plain := rekeyDisk(t)
	whole := simdev.New(image)
	if err := applyTo(t, whole, rekeyDefinition, tokenless{}); err != nil {
		t.Fatal(err)
	}
	checkRekeyed(t, whole, plain, true)
	rng := rand.New(rand.NewPCG(seedOfCrashes(), 3))
	for _, k := range cutPoints(whole.Log(), rng) {
		cut := whole.CrashAfter(k, rng)
		if rng.IntN(2) == 0 {
			cut = latestAfter(whole, k, rng)
		}
		if err := applyTo(t, cut, rekeyDefinition, tokenless{}); err != nil {
			t.Fatalf("after operation %d of %d: %v", k, len(whole.Log()), err)
		}
		checkRekeyed(t, cut, plain, false)
		if t.Failed() {
			t.Fatalf("seed %d, after operation %d of %d", seedOfCrashes(), k, len(whole.Log()))
		}
	}
	again := simdev.New(whole.Bytes())
	if err := applyTo(t, again, rekeyDefinition, tokenless{}); err != nil || len(again.Log()) > 0 {
		t.Errorf("the second run: %v, %d operations", err, len(again.Log()))
	}
}

// TestRekeyLeavesNoKeyslot: of what the vendor's keyslot held, and the slots that held
// the old key meanwhile, no byte is left.
func TestRekeyLeavesNoKeyslot(t *testing.T) {
	w := mode{sector: 512, rekey: true, resilience: "checksum"}.newWorld(t)
	before, err := luks2.Read(w.part, int64(w.part.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	after, err := luks2.Read(w.part, int64(w.part.Size()))
	if err != nil {
		t.Fatal(err)
	}
	slot, kept := before.Keyslots()[0], after.Keyslots()[0]
	old := make([]byte, slot.AreaSize)
	if err := readFull(simdev.New(w.part.CrashAfter(0, nil).Bytes()), old, disk.Bytes(slot.AreaOffset)); err != nil {
		t.Fatal(err)
	}
	now := w.part.Bytes()[:placeHeader]
	for off := 0; off < 4000*slot.KeySize; off += 512 { // behind them there is padding
		if bytes.Contains(now, old[off:off+512]) {
			t.Fatalf("sector %d of the vendor's keyslot is left", off/512)
		}
	}
	for _, op := range w.part.Log() { // the new keyslots of the old key were written, and are to be gone
		ours := int64(len(op.Data)) == slot.AreaSize && op.Offset != kept.AreaOffset && disk.Bytes(op.Offset) < placeHeader
		if ours && op.Offset != slot.AreaOffset && bytes.Contains(now, op.Data[:512]) && !overwritten(w.part.Log(), op) {
			t.Errorf("the keyslot written at %d is left", op.Offset)
		}
	}
}

// overwritten reports whether op is what wiped a keyslot.
func overwritten(log []simdev.Op, op simdev.Op) bool {
	same := slices.DeleteFunc(slices.Clone(log), func(other simdev.Op) bool { return other.Sync || other.Offset != op.Offset })
	return len(same) > 1 && bytes.Equal(same[len(same)-1].Data, op.Data)
}

// TestRekeyWithoutKeys: where a key is not to be had, the disk stays as it is.
func TestRekeyWithoutKeys(t *testing.T) {
	for text, spoil := range map[string]func(*Env){
		"boom":                    func(e *Env) { e.Sealers = []Sealer{stub{errBoom}} },
		"there is no source":      func(e *Env) { e.KeySource = nil },
		"existing key file:/vend": func(e *Env) { e.KeySource = wrongSource },
		"does not exist":          func(e *Env) { e.KeySource = missingSource },
	} {
		w := mode{sector: 512, rekey: true}.newWorld(t)
		w.order = new([]*simdev.Device)
		c := w.conversion(t)
		spoil(&c.env)
		if _, err := c.newRekey(context.Background()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, not %q", err, text)
		}
		if n := len(w.part.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", text, n)
		}
	}
}

func wrongSource(context.Context, string) (*secret.Buffer, error) {
	return secret.Take([]byte("not what the vendor set"))
}

func missingSource(context.Context, string) (*secret.Buffer, error) { return nil, os.ErrNotExist }

// TestTheirsRefused: what cannot be continued safely is refused, and not touched.
func TestTheirsRefused(t *testing.T) {
	w := mode{sector: 512, rekey: true}.newWorld(t)
	f := w.files(t)
	header := fileOf(t, nil)
	if err := os.Remove(header); err != nil {
		t.Fatal(err)
	}
	tool(t, "cryptsetup", "--batch-mode", "reencrypt", "--decrypt", "--init-only", "--force-offline-reencrypt", "--header", header,
		"--key-file", fileOf(t, []byte(vendorPassphrase)), f.part)
	w.detached, w.rekey = true, false
	w.load(t, files{part: f.part, home: header})
	err := w.conversion(t).resume(context.Background())
	if err == nil || !strings.Contains(err.Error(), "decryption in place is not supported") {
		t.Errorf("got %v", err)
	}
	if n := len(w.part.Log()) + len(w.home.Log()); n > 0 {
		t.Errorf("%d operations", n)
	}
}

// TestUnprotectedHotZoneIsRefused: nothing tells which half of it is converted.
func TestUnprotectedHotZoneIsRefused(t *testing.T) {
	w := mode{sector: 512, detached: true}.newWorld(t)
	w.theyBegin(t, []string{"--encrypt", "--resilience", "checksum", "--sector-size", "512"}, 0)
	header, err := luks2.Read(w.home, int64(w.home.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := header.Reencryption(int64(w.part.Size())); err != nil {
		t.Fatal(err)
	}
	options := luks2.ForwardOptions{Resilience: "journal", DeviceSize: int64(w.part.Size()), Rand: testEnv(t).Random}
	if err := header.Protect(options, nil, nil); err == nil || !strings.Contains(err.Error(), "it has the resilience checksum already") {
		t.Errorf("got %v", err)
	}
}
