package executor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// settle applies definitions to a disk, by probe, plan, apply.
func settle(t *testing.T, dev *simdev.Device, defs map[string]string, o planner.Options) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	o.Seed = uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47")
	plan, err := planner.Make(loadTOML(t, defs), snapshot, host.Facts{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), simTarget{dev, false}, plan, testEnv(t)); err != nil {
		t.Fatal(err)
	}
}

// free fails where something counts as occupied.
func free(t *testing.T, what string, dev *simdev.Device) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Occupied) > 0 {
		t.Errorf("%s: space is not free: %+v", what, snapshot.Occupied)
	}
}

// used returns a disk of which every byte was used.
func used(size disk.Bytes) []byte {
	image := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(image)
	return image
}

const fixed = "size_min = %q\nsize_max = %q\n"

func partition(kind, size string) string {
	return fmt.Sprintf("[partition]\ntype = %q\n"+fixed, kind, size, size)
}

// TestGivenUpSpaceIsFree: what --empty=force or --leftovers=discard gave up is in the way of no
// later run, nor is what a factory reset took away.
func TestGivenUpSpaceIsFree(t *testing.T) {
	dev := simdev.New(used(48 * disk.MiB))
	settle(t, dev, map[string]string{"10-var": partition("var", "6M")}, planner.Options{Empty: planner.EmptyForce})
	free(t, "--empty=force", dev)
	settle(t, dev, map[string]string{"10-var": partition("var", "6M"), "20-srv": partition("srv", "6M")}, planner.Options{Leftovers: plan.LeftoversDiscard})
	free(t, "the next run", dev)
	settle(t, dev, map[string]string{"10-var": partition("var", "6M"), "20-srv": partition("srv", "6M"), "30-home": partition("home", "5M")}, planner.Options{Leftovers: plan.LeftoversDiscard})
	free(t, "the one after", dev)

	image := dev.Bytes()
	copy(image[30<<20+64<<10:31<<20], used(disk.MiB)) // between what is looked at
	dev = simdev.New(image)
	settle(t, dev, map[string]string{"10-var": partition("var", "6M"), "40-tmp": partition("tmp", "13824K")}, planner.Options{Leftovers: plan.LeftoversDiscard})
	free(t, "up to old data in the middle", dev)

	image = dev.Bytes()
	copy(image[len(image)-2<<20:], used(disk.MiB))
	copy(image[len(image)-33*512-4096:], "remains")
	dev = simdev.New(image)
	settle(t, dev, map[string]string{"50-swap": partition("swap", "4M")}, planner.Options{Leftovers: plan.LeftoversDiscard})
	free(t, "--leftovers=discard", dev)

	reset := partition("home", "5M") + "factory_reset = true\n"
	image = dev.Bytes()
	copy(image[12<<20+20480:17<<20], used(4*disk.MiB)) // the home of its user
	dev = simdev.New(image)
	settle(t, dev, map[string]string{"30-home": reset}, planner.Options{FactoryReset: true})
	free(t, "factory reset", dev)
}

// TestOthersSpaceStays: in free space from which nothing is taken nothing is written, also where
// beside it a partition goes and comes again.
func TestOthersSpaceStays(t *testing.T) {
	dev := simdev.New(used(24 * disk.MiB))
	defs := map[string]string{"10-var": partition("var", "4M") + "factory_reset = true\n", "20-srv": partition("srv", "4M")}
	settle(t, dev, defs, planner.Options{Empty: planner.EmptyForce})
	image := bytes.Clone(dev.Bytes())
	copy(image[23<<20:], "somebody's, at the end of the disk")
	dev = simdev.New(image)
	settle(t, dev, defs, planner.Options{FactoryReset: true})
	from := disk.Bytes(9 << 20)
	if len(dev.Log()) == 0 || !bytes.Equal(dev.Bytes()[from:24<<20-33*512], image[from:24<<20-33*512]) {
		t.Errorf("after %d operations free space of somebody's is not as it was", len(dev.Log()))
	}
}

// TestUnseenDataStays: beside a new partition nothing is written, though what lies there was not
// seen and the area counted as free.
func TestUnseenDataStays(t *testing.T) {
	dev := simdev.New(make([]byte, 24*disk.MiB))
	defs := map[string]string{"10-var": partition("var", "4M")}
	settle(t, dev, defs, planner.Options{Empty: planner.EmptyForce})
	image := bytes.Clone(dev.Bytes())
	at := 9<<20 + 300<<10 // right behind the next partition, and at no place that is looked at
	copy(image[at:], "somebody's")
	dev = simdev.New(image)
	free(t, "before", dev)
	defs["20-srv"] = partition("srv", "4M")
	settle(t, dev, defs, planner.Options{})
	if from := disk.Bytes(9 << 20); len(dev.Log()) == 0 || !bytes.Equal(dev.Bytes()[from:23<<20], image[from:23<<20]) {
		t.Errorf("after %d operations what lay behind the new partition is not as it was", len(dev.Log()))
	}
}

// TestCrashGivingUp: --empty=force that is cut off anywhere leaves, once it is run again, a
// disk whose free space is free.
func TestCrashGivingUp(t *testing.T) {
	before := used(20 * disk.MiB)
	defs := map[string]string{"10-var": partition("var", "4M")}
	uncut := simdev.New(before)
	settle(t, uncut, defs, planner.Options{Empty: planner.EmptyForce})
	log := len(uncut.Log())
	for k := range log {
		cut := uncut.CrashAfter(k, rand.New(rand.NewPCG(20261127, uint64(k))))
		settle(t, cut, defs, planner.Options{Empty: planner.EmptyForce})
		free(t, fmt.Sprintf("cut after operation %d of %d", k, log), cut)
	}
}
