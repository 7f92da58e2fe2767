package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// vendorPassphrase opens the volumes that are rekeyed, before.
const vendorPassphrase = "what the vendor set"

// The data of the conversions that move nothing, and their zones: a first, one in
// the middle and a shorter last.
const (
	placeData = 1*disk.MiB - 64*disk.KiB
	placeZone = 384 * disk.KiB
)

// A mode is one kind of conversion that moves nothing, on a disk in memory that is
// one partition; for a detached header a second disk takes that.
type mode struct {
	name   string
	sector disk.Bytes // of the encryption
	atomic disk.Bytes // what the disk writes whole
	// resilience is what must have been chosen.
	resilience string
	detached   bool
	rekey      bool
}

var modes = []mode{
	{name: "gap, checksum", sector: 512, resilience: "checksum"},
	{name: "gap, journal", sector: 4096, resilience: "journal"},
	{name: "detached, checksum", sector: 512, resilience: "checksum", detached: true},
	{name: "detached, journal", sector: 4096, resilience: "journal", detached: true},
	{name: "rekey, checksum", sector: 512, resilience: "checksum", rekey: true},
	{name: "rekey, journal", sector: 4096, resilience: "journal", rekey: true},
}

// Where the data lies on the partition, and what a detached header's disk has.
const (
	placeHeader   = 2 * disk.MiB
	placeDetached = 16 * disk.MiB
)

func (m mode) dataOffset() disk.Bytes {
	if m.detached {
		return 0
	}
	return placeHeader
}

// world is the state of all storage of one conversion.
type world struct {
	mode
	part, home *simdev.Device // the same but for a detached header
	order      *[]*simdev.Device
	plain      []byte
}

// swapHeader is that of a swap area (kernel, include/linux/swap.h: union swap_header).
var swapHeader = func() []byte {
	page := make([]byte, 4096)
	binary.LittleEndian.PutUint32(page[1024:], 1)
	binary.LittleEndian.PutUint32(page[1028:], uint32(placeData/4096-1))
	copy(page[4086:], "SWAPSPACE2")
	return page
}()

// newWorld makes the storage before the conversion.
func (m mode) newWorld(t testing.TB) *world {
	t.Helper()
	plain := make([]byte, placeData)
	rand.NewChaCha8([32]byte{11}).Read(plain)
	copy(plain, swapHeader) // something that is known, and as good as random else
	image := make([]byte, m.dataOffset()+placeData)
	copy(image[m.dataOffset():], plain)
	if m.rekey {
		m.encryptOld(t, image)
	}
	w := &world{mode: m, plain: plain, part: simdev.New(image)}
	if w.home = w.part; m.detached {
		w.home = simdev.New(make([]byte, placeDetached))
	}
	return w
}

// encryptOld makes image a volume of the vendor.
func (m mode) encryptOld(t testing.TB, image []byte) {
	t.Helper()
	env := testEnv(t)
	e := stubEncryption(placeHeader, m.sector)
	e.Keys = nil
	v, err := newVolumeWith(env, e, vendorPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	copy(image, v.front.bytes)
	c, err := newEncrypter(v.header.Segments()[0], v.key)
	if err != nil {
		t.Fatal(err)
	}
	c.encrypt(image[placeHeader:], image[placeHeader:], 0)
}

// newVolumeWith makes a volume with one keyslot and no token.
func newVolumeWith(env Env, e plan.Encryption, passphrase string) (*volume, error) {
	header, err := luks2.Format(luks2.FormatOptions{
		UUID: e.UUID, DataOffset: int64(e.DataOffset), Cipher: e.Cipher, KeySize: e.KeyBits / 8, SectorSize: int(e.SectorSize), Rand: env.Random,
	})
	if err != nil {
		return nil, err
	}
	key, err := secret.Random(e.KeyBits/8, env.Random)
	if err != nil {
		return nil, err
	}
	v := &volume{key: key, header: header, front: &front{}}
	if _, err := header.AddKeyslot(context.Background(), v.front, key.Bytes(), []byte(passphrase), luks2.TokenKDF(), env.Random); err != nil {
		return nil, err
	}
	return v, header.Commit(v.front)
}

// conversion returns that of the world, with small zones.
func (w *world) conversion(t testing.TB) *conversion {
	env := testEnv(t)
	env.KeySource = func(context.Context, string) (*secret.Buffer, error) {
		return secret.Take([]byte(vendorPassphrase))
	}
	a := plan.Reencrypt{
		Number: 1, Mode: plan.ModeEncrypt, Room: plan.RoomGap, Extent: disk.Extent{Size: w.part.Size()},
		DataSize: placeData, Shift: w.dataOffset(), Encryption: stubEncryption(w.dataOffset(), w.sector),
	}
	if w.rekey {
		a.Mode, a.Room, a.ExistingKey = plan.ModeRekey, "", "file:/vendor"
	}
	if w.detached {
		a.Room = plan.RoomDetached
	}
	c := newConversion(env, newPipeline(1), ordered{w.part, w.order}, a)
	c.home, c.homeSize, c.maxZone = ordered{w.home, w.order}, w.home.Size(), placeZone
	if w.atomic != 0 {
		c.atomic = w.atomic
	}
	return c
}

// ordered notes which device an operation was on, so that a power cut can hit both.
type ordered struct {
	*simdev.Device
	order *[]*simdev.Device
}

func (o ordered) WriteAt(p []byte, off int64) (int, error) {
	o.note()
	return o.Device.WriteAt(p, off)
}

func (o ordered) Sync() error {
	o.note()
	return o.Device.Sync()
}

func (o ordered) note() {
	if o.order != nil {
		*o.order = append(*o.order, o.Device)
	}
}

// run does what probe, plan and apply do: begin where nothing was begun, else go on.
func (w *world) run(t testing.TB) error {
	w.order = new([]*simdev.Device)
	ctx, c := context.Background(), w.conversion(t)
	header, err := luks2.Read(w.home, int64(w.home.Size()))
	begun := err == nil
	if w.rekey { // the vendor's volume has no token
		begun = err == nil && len(header.Tokens()) > 0
	}
	if begun {
		return c.resume(ctx)
	}
	return w.begin(ctx, c)
}

// begin begins; what is prepared of a gap before the table is published is whole.
func (w *world) begin(ctx context.Context, c *conversion) error {
	if w.rekey {
		v, err := c.newRekey(ctx)
		if err != nil {
			return err
		}
		defer v.wipe()
		if state, err := c.state(); err != nil || state.Resilience != w.resilience {
			return fmt.Errorf("the resilience is %+v, %w", state, err)
		}
		return c.beginRekey(ctx, v)
	}
	v, err := newVolume(ctx, c.env, c.action.Encryption)
	if err != nil {
		return err
	}
	defer v.wipe()
	if err := c.beginForward(v); err != nil {
		return err
	}
	if _, err := w.home.WriteAt(v.front.bytes, 0); err != nil {
		return err
	}
	if err := w.home.Sync(); err != nil {
		return err
	}
	*w.order = append(*w.order, w.home, w.home)
	if state, err := c.state(); err != nil || state.Resilience != w.resilience {
		return fmt.Errorf("the resilience is %+v, %w", state, err)
	}
	return c.convert(ctx, v.keys())
}

// crashAfter returns the world as a power cut after k operations left it: of what
// was not flushed, any sectors, or only the latest writes.
func (w *world) crashAfter(k int, rng *rand.Rand) *world {
	crash := (*simdev.Device).CrashAfter
	if rng.IntN(2) == 0 {
		crash = latestAfter
	}
	return w.cutBy(k, func(d *simdev.Device, n int) *simdev.Device { return crash(d, n, rng) })
}

// stoppedAfter returns the world after k operations, of which none is lost.
func (w *world) stoppedAfter(k int) *world {
	return w.cutBy(k, func(d *simdev.Device, n int) *simdev.Device { return d.CrashAfter(n, nil) })
}

// cutBy returns the world after k operations; cut says what they leave of a device, of which
// n are its own.
func (w *world) cutBy(k int, cut func(d *simdev.Device, n int) *simdev.Device) *world {
	after := *w
	done := map[*simdev.Device]int{}
	for _, dev := range (*w.order)[:k] {
		done[dev]++
	}
	after.part = cut(w.part, done[w.part])
	if after.home = after.part; w.detached {
		after.home = cut(w.home, done[w.home])
	}
	return &after
}

// latestAfter returns the device as a power cut after k operations left it where only
// the last few of the writes that were not flushed are there: what a missing flush
// would be found by.
func latestAfter(d *simdev.Device, k int, rng *rand.Rand) *simdev.Device {
	log, flushed := d.Log()[:k], 0
	for i, op := range log {
		if op.Sync {
			flushed = i
		}
	}
	image := d.CrashAfter(flushed, nil).Bytes()
	for _, op := range log[flushed+rng.IntN(k-flushed+1):] {
		copy(image[op.Offset:], op.Data)
	}
	return simdev.New(image)
}

// check demands that all is converted, every byte as it was, and nothing left over.
func (w *world) check(t testing.TB, when string) {
	t.Helper()
	if header := w.checkData(t, passphrase, when); header != nil {
		w.checkKeyslots(t, header, when)
	}
}

// checkData demands that all is converted and every byte as it was.
func (w *world) checkData(t testing.TB, passphrase, when string) *luks2.Header {
	t.Helper()
	header, err := luks2.Read(w.home, int64(w.home.Size()))
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return nil
	}
	if state, err := header.Reencryption(int64(w.part.Size())); err != nil || state != nil {
		t.Errorf("%s: left in conversion: %+v, %v", when, state, err)
		return nil
	}
	opened, _, err := header.Open(t.Context(), w.home, []byte(passphrase))
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return nil
	}
	key, err := secret.Take(opened)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	c, err := newEncrypter(header.Segments()[0], key)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, placeData)
	if err := readFull(w.part, data, w.dataOffset()); err != nil {
		t.Fatal(err)
	}
	c.decrypt(data, data, 0)
	if !bytes.Equal(data, w.plain) {
		t.Errorf("%s: the content differs", when)
	}
	if at := plainIn(w.part.Bytes(), w.plain); at >= 0 {
		t.Errorf("%s: plain text is left at %d", when, at)
	}
	return header
}

// checkKeyslots demands one keyslot, one token for it, and no other way in; what is rekeyed may
// have its mark besides.
func (w *world) checkKeyslots(t testing.TB, header *luks2.Header, when string) {
	t.Helper()
	if n := len(header.Keyslots()); n != 1 {
		t.Errorf("%s: %d keyslots are left", when, n)
	}
	isMark := func(t luks2.Token) bool { return w.rekey && t.Type == disk.TokenRekeyed }
	if tokens := slices.DeleteFunc(header.Tokens(), isMark); len(tokens) != 1 || len(tokens[0].Keyslots) != 1 {
		t.Errorf("%s: the tokens are %v", when, tokens)
	}
	if _, _, err := header.Open(t.Context(), w.home, []byte(vendorPassphrase)); !errors.Is(err, luks2.ErrWrongPassphrase) {
		t.Errorf("%s: the volume opened by the vendor's passphrase: %v", when, err)
	}
}

// TestCrashInPlace cuts the power in the middle of every conversion that moves
// nothing, and again in the recovery.
func TestCrashInPlace(t *testing.T) {
	for i, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			whole := m.newWorld(t)
			if err := whole.run(t); err != nil {
				t.Fatal(err)
			}
			whole.check(t, "uncut")
			points := whole.cutPoints(rand.New(rand.NewPCG(seedOfCrashes(), uint64(i))))
			for n, k := range points {
				rng := rand.New(rand.NewPCG(seedOfCrashes(), uint64(n)<<16|uint64(k)))
				whole.recover(t, k, rng, n%3 == 0)
				if t.Failed() {
					t.Fatalf("seed %d, cut %d, after operation %d", seedOfCrashes(), n, k)
				}
			}
			t.Logf("%d operations, %d power cuts, all bytes back", len(*whole.order), len(points))
		})
	}
}

// cutPoints chooses where the power is cut: -crash-states places, or -crash-times
// everywhere.
func (w *world) cutPoints(rng *rand.Rand) (points []int) {
	for k := range len(*w.order) + 1 {
		points = append(points, slices.Repeat([]int{k}, *crashTimes)...)
	}
	if n := *crashStates; n > 0 && n < len(points) {
		return spread(points, n, rng)
	}
	return points
}

// recover cuts the power after k operations and runs again; with twice set, that run
// is cut as well.
func (w *world) recover(t testing.TB, k int, rng *rand.Rand, twice bool) {
	t.Helper()
	cut := w.crashAfter(k, rng)
	if err := cut.run(t); err != nil {
		t.Fatalf("cut after operation %d: %v", k, err)
	}
	cut.check(t, "cut once")
	crashCount.Add(1)
	if !twice {
		return
	}
	again := cut.crashAfter(rng.IntN(len(*cut.order)+1), rng)
	if err := again.run(t); err != nil {
		t.Fatalf("cut after operation %d, and again: %v", k, err)
	}
	again.check(t, "cut twice")
	crashCount.Add(1)
}

// seedOfCrashes is -crash-seed, or a fixed one.
func seedOfCrashes() uint64 {
	if *crashSeed != 0 {
		return *crashSeed
	}
	return 20261122
}
