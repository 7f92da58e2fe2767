package executor

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner/plan"
)

var crashSeed = flag.Uint64("crash-seed", 0, "seed of the crash simulation; 0 means a fixed one")

// A conversion small enough to be cut everywhere: 6 MiB of data, shift 1 MiB.
const (
	crashShift = disk.MiB
	crashData  = 6 * disk.MiB
	crashDisk  = crashData + 2*crashShift + 300*disk.KiB
)

// TestCrashDuringConversion cuts the power after every operation of a conversion,
// with unsynced sectors kept or lost by a seed, converts again, and compares every
// byte. Some of the second runs are cut again.
func TestCrashDuringConversion(t *testing.T) {
	t.Parallel()
	plain := extImage(t, crashData)
	image := append(bytes.Clone(plain), bytes.Repeat([]byte(earlier), int(crashDisk-crashData)/len(earlier))...)
	whole := simdev.New(image)
	mustConvert(t, whole)
	checkConverted(t, whole, plain, "uncut")

	seed := *crashSeed
	if seed == 0 {
		seed = 20261122
	}
	t.Logf("crash seed %d, %d operations", seed, len(whole.Log()))
	states := 0
	for k := range len(whole.Log()) + 1 {
		for variant := range uint64(*crashTimes) {
			rng := rand.New(rand.NewPCG(seed, uint64(k)<<16|variant))
			cut := whole.CrashAfter(k, rng)
			mustConvert(t, cut)
			checkConverted(t, cut, plain, "cut once")
			states++
			if variant%4 == 0 {
				again := cut.CrashAfter(rng.IntN(len(cut.Log())+1), rng)
				mustConvert(t, again)
				checkConverted(t, again, plain, "cut twice")
				states++
			}
			if t.Failed() {
				t.Fatalf("after operation %d, variant %d", k, variant)
			}
		}
	}
	crashCount.Add(int64(states))
	t.Logf("%d crash states, all bytes back", states)
}

// mustConvert does what probe, plan and apply do: begin where the file system is
// plain, resume where a header or a staged image is there.
func mustConvert(t *testing.T, dev blockdev.Device) {
	t.Helper()
	if err := convertAgain(t, dev); err != nil {
		t.Fatal(err)
	}
}

func convertAgain(t *testing.T, dev blockdev.Device) error {
	content, err := probe.Content(dev, dev.Size())
	if err != nil {
		return err
	}
	ctx, env := context.Background(), testEnv(t)
	c := newConversion(env, newPipeline(1), dev, plan.Reencrypt{
		Number: 1, Mode: plan.ModeEncrypt, Room: plan.RoomBehind, Extent: disk.Extent{Size: dev.Size()}, DataSize: crashData, Shift: crashShift,
		Filesystem: content.Kind, Encryption: stubEncryption(crashShift, 4096),
	})
	if content.Kind == "crypto_LUKS" {
		c.action.Room = "" // as the planner has it
		return c.resume(ctx)
	}
	v, err := newVolume(ctx, env, c.action.Encryption)
	if err != nil {
		return err
	}
	defer v.wipe()
	return c.begin(ctx, v)
}

// checkConverted compares the decrypted content and demands that nothing of the
// conversion is left.
func checkConverted(t *testing.T, dev *simdev.Device, plain []byte, when string) {
	t.Helper()
	var out bytes.Buffer
	if err := Export(context.Background(), testEnv(t), dev, &out); err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	if !bytes.Equal(out.Bytes()[:len(plain)], plain) {
		t.Errorf("%s: the content differs", when)
	}
	content, err := probe.Content(dev, dev.Size())
	if err != nil || content.LUKS == nil || content.LUKS.Reencryption != nil {
		t.Errorf("%s: left as %+v (%v)", when, content, err)
		return
	}
	for _, token := range content.LUKS.Tokens {
		if token.Type == disk.TokenWipe {
			t.Errorf("%s: the wipe is still pending", when)
		}
	}
	image := dev.Bytes()
	if at := plainIn(image, plain); at >= 0 {
		t.Errorf("%s: plain text is left at %d", when, at)
	}
	if behind := image[crashShift+crashData:]; !bytes.Equal(behind, make([]byte, len(behind))) {
		t.Errorf("%s: something is left behind the data", when)
	}
}

// earlier is a sector of plain text of whatever was on a disk earlier.
var earlier = strings.Repeat("plain text of an earlier life of it.\n", 14)[:512]

// plainIn returns where the first sector of plain that is not all zero lies in an image, or
// one of earlier; -1 where none does.
func plainIn(image, plain []byte) int {
	sectors := map[[512]byte]bool{[512]byte([]byte(earlier)): true}
	for sector := range slices.Chunk(plain, 512) {
		sectors[[512]byte(sector)] = true
	}
	delete(sectors, [512]byte{})
	for at := 0; at+512 <= len(image); at += 512 {
		if sectors[[512]byte(image[at:])] {
			return at
		}
	}
	return -1
}
