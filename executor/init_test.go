package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// shiftOf returns a conversion by a shift on dev, and the volume for it.
func shiftOf(t *testing.T, dev blockdev.Device) (*conversion, *volume) {
	t.Helper()
	env := testEnv(t)
	c := newConversion(env, newPipeline(1), dev, plan.Reencrypt{
		Number: 1, Extent: disk.Extent{Size: dev.Size()}, DataSize: crashData, Shift: crashShift,
		Filesystem: "ext4", Encryption: stubEncryption(crashShift, 4096),
	})
	v, err := newVolume(context.Background(), env, c.action.Encryption)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.wipe)
	c.header = v.header
	return c, v
}

// full returns bytes none of which is zero, so that what was zeroed shows.
func full(size disk.Bytes) []byte {
	image := make([]byte, size)
	rand.NewChaCha8([32]byte{13}).Read(image)
	for i := range image {
		image[i] |= 1
	}
	return image
}

// TestInitWindow: the claim is one sector; before anything else is written behind it the
// superblocks are gone, and each step is durable before the next.
func TestInitWindow(t *testing.T) {
	before := full(crashDisk)
	dev := simdev.New(before)
	c, v := shiftOf(t, dev)
	if err := c.writeFront(v.front.bytes); err != nil {
		t.Fatal(err)
	}
	second, log := disk.Bytes(v.header.HeaderSize), dev.Log()
	want := []string{
		"4096 at 0", "sync", // the claim
		"3584 at 512", "4096 at 65536", "sync", // the superblocks
		fmt.Sprintf("%d at %d", crashShift-2*second, 2*second), "sync", // keyslots, and zeroes to the data
		fmt.Sprintf("%d at %d", second, second), "sync", // second header
		fmt.Sprintf("%d at 4096", second-claimBlock), "sync", // first header, its first block last
		"4096 at 0", "sync",
	}
	if got := steps(log); !slices.Equal(got, want) {
		t.Errorf("the steps are %q\nnot %q", got, want)
	}
	if claim := log[0].Data; !bytes.Equal(claim[claimSize:], before[claimSize:claimBlock]) {
		t.Error("the claim changes more than a sector")
	} else if sum := claim[luks2.ChecksumOffset:luks2.ChecksumEnd]; !bytes.Equal(sum, make([]byte, len(sum))) {
		t.Error("the claim has a checksum, by which the header could pass for whole")
	}
	for _, blind := range log[2:4] {
		if !bytes.Equal(blind.Data, make([]byte, len(blind.Data))) {
			t.Errorf("a superblock at %d is not zeroed", blind.Offset)
		}
	}
	after := append(bytes.Clone(v.front.bytes), make([]byte, crashShift-disk.Bytes(len(v.front.bytes)))...)
	if !bytes.Equal(dev.Bytes()[:crashShift], after) {
		t.Error("before the data there is something else than the header's image and zeroes")
	}
}

// steps returns what a log does, writes that follow on one another taken as one.
func steps(log []simdev.Op) (list []string) {
	for i := 0; i < len(log); i++ {
		if log[i].Sync {
			list = append(list, "sync")
			continue
		}
		at, size := log[i].Offset, len(log[i].Data)
		for ; i+1 < len(log) && !log[i+1].Sync && log[i+1].Offset == at+int64(size); i++ {
			size += len(log[i+1].Data)
		}
		list = append(list, fmt.Sprintf("%d at %d", size, at))
	}
	return list
}

// lying is a disk that loses a bit of what is written to a place.
type lying struct {
	*simdev.Device
	place disk.Extent
}

func (l lying) WriteAt(p []byte, off int64) (int, error) {
	if e := (disk.Extent{Offset: disk.Bytes(off), Size: disk.Bytes(len(p))}); e.Overlaps(l.place) {
		p = bytes.Clone(p)
		p[len(p)/2] ^= 4
	}
	return l.Device.WriteAt(p, off)
}

// TestMovedCopyIsReadBack: it is about to be the only one. A disk that gives it back
// differently keeps its file system.
func TestMovedCopyIsReadBack(t *testing.T) {
	image := make([]byte, crashDisk)
	copy(image, extImage(t, crashData))
	dev := simdev.New(image)
	c, v := shiftOf(t, dev)
	c.part = lying{dev, c.movedExtent()}
	err := c.begin(context.Background(), v)
	if err == nil || !strings.Contains(err.Error(), "reads back differently; is the device failing?") {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(dev.Bytes()[:crashData], image[:crashData]) {
		t.Error("the file system was touched")
	}
}

// TestStagedImageCountsWhenWhole: its first block is written last, after a flush.
func TestStagedImageCountsWhenWhole(t *testing.T) {
	dev := simdev.New(full(crashDisk))
	c, v := shiftOf(t, dev)
	if err := c.stage(v.front.bytes); err != nil {
		t.Fatal(err)
	}
	at, log := int64(c.stagedOffset()), dev.Log()
	if len(log) != 4 || log[0].Offset != at+claimBlock || !log[1].Sync || log[2].Offset != at || len(log[2].Data) != claimBlock || !log[3].Sync {
		t.Errorf("%d operations, not: the image but for its first block, a flush, the first block, a flush", len(log))
	}
	if err := c.eraseStaged(); err != nil {
		t.Fatal(err)
	}
	section, err := blockdev.NewSection(dev, disk.Extent{Offset: c.stagedOffset(), Size: crashShift})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := luks2.Read(section, int64(crashShift)); !errors.Is(err, luks2.ErrNotLUKS2) || !dev.Log()[len(dev.Log())-1].Sync {
		t.Errorf("the staged image is still there, or its end not durable: %v", err)
	}
}

// TestAnothersImageStays: what lies where an image was staged may be anybody's, once data
// can have reached it.
func TestAnothersImageStays(t *testing.T) {
	dev := simdev.New(full(crashDisk))
	c, v := shiftOf(t, dev)
	if err := c.stage(v.front.bytes); err != nil {
		t.Fatal(err)
	}
	other, _ := shiftOf(t, dev)
	other.header.UUID = "01234567-89ab-4cde-8f01-23456789abcd"
	before := len(dev.Log())
	if err := other.eraseStaged(); err != nil || len(dev.Log()) > before {
		t.Errorf("%v, and %d operations on another volume's image", err, len(dev.Log())-before)
	}
}
