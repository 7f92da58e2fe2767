package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// judgedBefore is where the partition begins on the disks of FuzzJudge.
const judgedBefore = disk.MiB

// judgedDefinitions are what FuzzJudge plans: each thing that is done to a volume.
var judgedDefinitions = []map[string]string{
	{"10-data": judgedPartition + `encryption = { existing = "convert", key = [{ type = "file" }] }`},
	{"10-data": judgedPartition + `encryption = { existing = "enroll", existing_key = "file:/vendor", key = [{ type = "file" }] }`},
	{"10-data": judgedPartition + `encryption = { existing = "rekey", existing_key = "file:/vendor", key = [{ type = "file" }] }`},
	{"10-data": judgedPartition + `encryption = { key = [{ type = "tpm2", pcrs = [7] }, { type = "file" }] }`},
}

const judgedPartition = "partition = { type = \"linux-generic\", weight = 0, size_min = \"1M\" }\n"

// judged is a disk with a volume whose header FuzzJudge changes.
type judged struct {
	image  []byte // of the disk
	extent disk.Extent
	home   []byte // of a detached header, else nil
}

// anyToken unseals tokens of a kind, and counts how often it was asked to.
type anyToken struct {
	tokenless
	kind, token string
	asked       *int
}

func (a anyToken) Kind() string      { return a.kind }
func (a anyToken) TokenType() string { return a.token }

func (a anyToken) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	*a.asked++
	return secret.Take([]byte(passphrase))
}

// judgedEnv opens all volumes of FuzzJudge.
func judgedEnv(t testing.TB, asked *int) Env {
	env := testEnv(t)
	env.Sealers = []Sealer{
		anyToken{kind: "file", asked: asked}, anyToken{kind: "stub", token: "stub", asked: asked},
		anyToken{kind: "tpm2", token: disk.TokenTPM2, asked: asked}, anyToken{kind: "recovery", token: disk.TokenRecovery, asked: asked},
	}
	env.Keys = []definitions.Key{{Type: "file"}}
	env.KeySource = func(context.Context, string) (*secret.Buffer, error) {
		*asked++
		return secret.Take([]byte(vendorPassphrase))
	}
	return env
}

// judgedStates are volumes in every state that a header has: of each way to convert the
// state between two zones, the one in a zone, the one after the last, and the finished one.
func judgedStates(t testing.TB) (states []judged) {
	for _, m := range modes {
		whole := m.newWorld(t)
		if err := whole.run(t); err != nil {
			t.Fatal(err)
		}
		states = append(states, whole.judged(t), whole.halfway(luks2.Clean).judged(t), whole.halfway(luks2.Crash).judged(t))
		done := whole.allWritten(t)
		done.spring(t)
		states = append(states, done.judged(t))
		if !m.detached {
			noted := simdev.New(whole.part.Bytes())
			addTokens(t, noted)
			states = append(states, onDisk(t, noted.Bytes(), nil))
		}
	}
	return append(states, shiftedStates(t)...)
}

// halfway returns the last state of a conversion before its end that is the given one.
func (w *world) halfway(want luks2.State) *world {
	for k := len(*w.order) * 2 / 3; k > 0; k-- {
		cut := w.stoppedAfter(k)
		header, err := luks2.Read(cut.home, int64(cut.home.Size()))
		if err != nil || header.Recovered() != "" {
			continue
		}
		if r, err := header.Reencryption(int64(cut.part.Size())); err == nil && r != nil && r.State == want {
			return cut
		}
	}
	return w
}

func (w *world) judged(t testing.TB) judged {
	if w.detached {
		return onDisk(t, w.part.Bytes(), w.home.Bytes())
	}
	return onDisk(t, w.part.Bytes(), nil)
}

// onDisk makes a volume the only partition of a disk.
func onDisk(t testing.TB, volume, home []byte) judged {
	t.Helper()
	size := disk.Bytes(len(volume)).RoundUp(4096)
	image := make([]byte, 2*judgedBefore+size)
	copy(image[judgedBefore:], volume)
	layout := "label: gpt\nstart=2048, size=" + sectors(size) + ", type=linux, name=data\n"
	return judged{partitioned(t, image, layout), disk.Extent{Offset: judgedBefore, Size: size}, home}
}

func sectors(size disk.Bytes) string { text, _ := json.Marshal(size / 512); return string(text) }

// addTokens puts a token of every kind that something is done for into a header: genuine
// notes, and others.
func addTokens(t testing.TB, dev *simdev.Device) {
	t.Helper()
	header, err := luks2.Read(dev, int64(dev.Size()))
	if err != nil {
		t.Fatal(err)
	}
	opened, slot, err := header.Open(context.Background(), dev, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.Take(opened)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	number, _ := json.Marshal([]string{string(rune('0' + slot))})
	for _, text := range []string{
		`{"type":"sealpart-file","keyslots":SLOT}`, `{"type":"sealpart-awaits","keyslots":[],"keys":["tpm2","file"]}`, `{"type":"sealpart-rekeyed","keyslots":[]}`,
		`{"type":"sealpart","keyslots":[],"wipe-offset":"1048576","wipe-size":"4096"}`,
		`{"type":"systemd-tpm2","keyslots":SLOT,"tpm2-blob":"AAAA","tpm2-pcrs":[7],"tpm2-pcr-bank":"sha256","tpm2-policy-hash":"00","tpm2-primary-alg":"ecc"}`,
		`{"type":"systemd-pkcs11","keyslots":SLOT,"pkcs11-uri":"pkcs11:token=a;object=b","pkcs11-key":"AAAA"}`,
		`{"type":"systemd-recovery","keyslots":SLOT}`, `{"type":"sealpart-command","keyslots":SLOT,"module":"hsm","blob":"AAAA"}`,
		`{"type":"paes-verification-pattern","keyslots":[],"verification-pattern":"00"}`,
	} {
		token := []byte(strings.ReplaceAll(text, "SLOT", string(number)))
		if strings.HasPrefix(text, `{"type":"sealpart`) {
			if token, err = signNote(header, key, token); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := header.AddToken(token); err != nil {
			t.Fatal(err)
		}
	}
	if err := header.Commit(dev); err != nil {
		t.Fatal(err)
	}
}

// shiftedStates are those of a conversion that moves its data: before its first zone, in
// the middle, in a zone, and after the last with a note that there is something to wipe.
func shiftedStates(t testing.TB) (states []judged) {
	plain := fileOf(t, make([]byte, 2*disk.MiB))
	tool(t, "mkfs.ext4", "-q", plain)
	whole := simdev.New(append(readFileOf(t, plain), make([]byte, 2*disk.MiB)...))
	c := smallShift(testEnv(t), whole)
	v, err := newVolume(context.Background(), c.env, c.action.Encryption)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	if err := c.begin(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for k := range len(whole.Log()) + 1 {
		cut := whole.CrashAfter(k, nil)
		header, err := luks2.Read(cut, int64(cut.Size()))
		if err != nil || header.Recovered() != "" {
			continue
		}
		r, err := header.Reencryption(int64(cut.Size()))
		state := "finished"
		if r != nil {
			state = string(rune('0'+int(r.State))) + string(rune('0'+int(r.Remaining*4/r.DataSize)))
		}
		if _, wipes := findWipeToken(header, v.key); wipes {
			state = "to be wiped"
		}
		if err == nil && !seen[state] {
			seen[state] = true
			states = append(states, onDisk(t, cut.Bytes(), nil))
		}
	}
	return states
}

// smallShift is a small conversion that moves its data.
func smallShift(env Env, dev blockdev.Device) *conversion {
	c := newConversion(env, newPipeline(1), dev, plan.Reencrypt{
		Number: 1, Extent: disk.Extent{Size: dev.Size()}, DataSize: 2 * disk.MiB, Shift: disk.MiB, Filesystem: "ext4", Encryption: stubEncryption(disk.MiB, 1024),
	})
	c.maxZone = 512 * disk.KiB
	return c
}

// respelled changes members of the JSON of both copies of a header: which of all, and
// what it becomes, say the bytes of plan, or text.
func respelled(image, p []byte, text string) []byte {
	image = bytes.Clone(image)
	var root map[string]any
	if json.Unmarshal(bytes.TrimRight(image[4096:16384], "\x00"), &root) != nil {
		return image
	}
	for ; len(p) >= 3; p = p[3:] {
		respell(root, p, text)
	}
	changed, err := json.Marshal(root)
	if err != nil || len(changed) > 12287 {
		return image
	}
	for which := range 2 {
		header := image[which*16384:][:16384]
		reseal(header, changed)
	}
	return image
}

// respell changes one member of an object.
func respell(root map[string]any, p []byte, text string) {
	type place struct {
		in   map[string]any
		name string
	}
	var places []place
	var collect func(map[string]any)
	collect = func(o map[string]any) {
		var names []string
		for name := range o {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			places = append(places, place{o, name})
			if inner, is := o[name].(map[string]any); is {
				collect(inner)
			}
		}
	}
	collect(root)
	at := places[(int(p[0])<<8|int(p[1]))%len(places)]
	other := places[int(p[2])%len(places)]
	switch p[2] % 7 {
	case 0:
		delete(at.in, at.name)
	case 1:
		at.in[at.name] = other.in[other.name]
		if _, is := at.in[at.name].(map[string]any); is {
			at.in[at.name] = "" // an object must not hold itself
		}
	case 2:
		at.in[at.name] = float64(int(p[2]) * 512)
	case 3:
		at.in[at.name] = []any{"0", "1"}[:p[2]/7%3]
	case 4: // any other JSON; what a keyslot costs is bounded elsewhere
		if !slices.Contains([]string{"iterations", "time", "memory"}, at.name) && json.Valid([]byte(text)) {
			at.in[at.name] = json.RawMessage(text)
		}
	default:
		at.in[at.name] = text
	}
}

// FuzzJudge changes the headers of volumes in every state, and then does with them what a
// user could: look, open, export, plan, apply, change keys, restore. Nothing is written outside
// the partition, nothing is opened that is not one encrypted segment or a conversion that the
// keys vouch for, no key is asked for where the judge refuses, and a refusal has written nothing.
func FuzzJudge(f *testing.F) {
	states := judgedStates(f)
	for i := range states {
		f.Add(uint8(i), uint8(i%judgedTries), []byte{}, "")
		for n := range 6 {
			at := byte(7*n + i)
			f.Add(uint8(i), uint8((n+i)%judgedTries), []byte{0, at, byte(5 + 7*(n%3))}, []string{"linear", "cipher_null-ecb", "4096"}[n%3])
			f.Add(uint8(i), uint8((n+i+3)%judgedTries), []byte{0, at, 4}, []string{`18446744073709551104`, `{"0":{}}`, `["0","1"]`, `"reencrypt"`}[n%4])
		}
	}
	f.Fuzz(func(t *testing.T, state, try uint8, p []byte, text string) {
		if len(p) > 12 || strings.Contains(text, "argon2") {
			return
		}
		tryJudged(t, states[int(state)%len(states)], try, p, text)
	})
}

// tryJudged does one thing with one changed header.
func tryJudged(t *testing.T, s judged, try uint8, p []byte, text string) {
	image, home := bytes.Clone(s.image), s.home
	if home != nil {
		home = respelled(home, p, text)
	} else {
		copy(image[s.extent.Offset:], respelled(image[s.extent.Offset:s.extent.End()], p, text))
	}
	j := &judgment{dev: simdev.New(bytes.Clone(image)), home: home, extent: s.extent}
	j.env = judgedEnv(t, &j.asked)
	var err error
	if j.part, err = blockdev.NewSection(j.dev, s.extent); err != nil {
		t.Fatal(err)
	}
	j.look(t)
	wrote, err := j.try(t, int(try))
	now := j.dev.Bytes()
	if !bytes.Equal(now[:s.extent.Offset], image[:s.extent.Offset]) || !bytes.Equal(now[s.extent.End():], image[s.extent.End():]) {
		t.Fatal("bytes outside the partition have changed")
	}
	if err != nil && wrote {
		t.Fatalf("it wrote, and then refused: %v", err)
	}
}

// judgment is a disk with a changed header, and how often its keys were asked for.
type judgment struct {
	dev    *simdev.Device
	home   []byte
	part   *blockdev.Section
	extent disk.Extent
	env    Env
	asked  int
}

// look does what only looks.
func (j *judgment) look(t *testing.T) {
	if _, err := probe.Disk(j.dev, 512); err != nil {
		t.Fatal(err)
	}
	header, err := luks2.Read(j.part, int64(j.part.Size()))
	fuzzOpen(t, j.env, j.part)
	_ = Export(t.Context(), j.env, j.part, io.Discard)
	if len(j.dev.Log()) > 0 {
		t.Fatal("to look at it wrote")
	}
	if err == nil {
		if _, err = header.Activation(placeOf(j.part)); err != nil && j.asked > 0 {
			t.Fatalf("a key was asked for, of a header that is refused: %v", err)
		}
	}
	j.asked = 0
}

// judgedTries is how many things there are to try.
const judgedTries = 9

// try does one of them, and reports whether anything was written.
func (j *judgment) try(t *testing.T, which int) (wrote bool, err error) {
	if which %= judgedTries; j.home != nil {
		which = 8 // the partition does not tell that it is a volume
	}
	switch which {
	case 4, 5, 6:
		change := []planner.KeyChange{{Remove: []int{0}}, {Remove: []int{1}}, {Add: []definitions.Key{{Type: "file"}}}}[which-4]
		if _, _, err = ChangeKeys(t.Context(), j.env, j.part, decided(change)); j.refused(j.changeable()) && j.asked > 0 {
			t.Fatalf("a key was asked for, of a header that must not be changed: %v", err)
		}
	case 7:
		_, err = RestoreHeader(t.Context(), j.env, j.part, bytes.NewReader(j.dev.Bytes()[j.extent.Offset:][:2*disk.MiB]), int64(2*disk.MiB), true)
	case 8:
		err = j.goOn(t)
	default:
		err = j.apply(t, loadTOML(t, judgedDefinitions[which]))
	}
	return len(j.dev.Log()) > 0, err
}

func (j *judgment) refused(err error) bool { return err != nil && len(j.dev.Log()) == 0 }

// changeable returns why the header's keys must not be changed.
func (j *judgment) changeable() error {
	header, err := luks2.Read(j.part, int64(j.part.Size()))
	if err != nil {
		return err
	}
	return errors.Join(header.Writable(), header.Finished(placeOf(j.part)))
}

// apply is one run of the command.
func (j *judgment) apply(t *testing.T, defs []definitions.Definition) error {
	snapshot, err := probe.Disk(j.dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	o := planner.Options{Seed: uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"), Empty: planner.EmptyRefuse}
	p, err := planner.Make(defs, snapshot, host.Facts{}, o)
	if err != nil {
		return err
	}
	if o.Distrusted, err = CheckMarks(t.Context(), j.dev, p, j.env); err != nil {
		return err
	}
	if p, err = planner.Make(defs, snapshot, host.Facts{}, o); err != nil {
		return err
	}
	if err := plan.Check(p, snapshot); err != nil {
		t.Fatalf("a plan against the laws: %v", err)
	}
	_, err = Apply(t.Context(), simTarget{j.dev, false}, p, j.env)
	return err
}

// goOn goes on with a conversion whatever its definition says, one with a detached header,
// too.
func (j *judgment) goOn(t *testing.T) error {
	c := newConversion(j.env, newPipeline(1), j.part, plan.Reencrypt{
		Mode: plan.ModeEncrypt, Extent: j.extent, Resume: true, Shift: 2 << 20, DataSize: j.extent.Size, ExistingKey: "file:/vendor",
	})
	if j.home != nil {
		home := simdev.New(j.home)
		c.home, c.homeSize, c.action.Room = home, home.Size(), plan.RoomDetached
	}
	return c.resume(t.Context())
}

// fuzzOpen opens as far as it goes without a kernel.
func fuzzOpen(t *testing.T, env Env, part blockdev.Device) {
	header, err := luks2.Read(part, int64(part.Size()))
	if err != nil {
		return
	}
	v := &opening{header: header, part: part, plain: map[luks2.Holds]*secret.Buffer{}, keys: map[luks2.Holds]*dm.Key{}}
	v.unlock = func(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
		return unlock(ctx, env, header, part, what)
	}
	a, err := v.verified(t.Context())
	defer v.dropKeys()
	if err != nil {
		return
	}
	for _, s := range a.Segments {
		if s.Type != "crypt" && a.Reencryption == nil || s.Type == "crypt" && strings.Contains(s.Encryption, "null") {
			t.Fatalf("opened: %+v", s)
		}
	}
	if a.Reencryption == nil && len(a.Segments) != 1 {
		t.Fatalf("opened: %+v", a.Segments)
	}
	if r := a.Reencryption; r != nil && r.State != luks2.Unfinished {
		if err := header.VerifyReencryption(t.Context(), v.plain[luks2.HoldsPrevious].Bytes(), v.plain[luks2.HoldsFinal].Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}
