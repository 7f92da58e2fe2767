package executor

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/planner/plan"
)

var inKernel = flag.String("in-kernel", "", "run TestInKernel in this `directory`, as root of a kernel with device-mapper: tests/kernel does")

// mute is a disk whose kernel is told nothing.
type mute struct{ *blockdev.File }

func (mute) TellKernel(_, _ []disk.Entry, _ disk.Bytes) error { return nil }

// TestInKernel has a real kernel encrypt a new partition, as it does where the volume is
// under a secure key. Such a cipher has only an s390x: here it is one that everybody can
// check. It works on "disk.img" of the directory, of 96 MiB, from 1 MiB on.
func TestInKernel(t *testing.T) {
	if *inKernel == "" {
		t.Skip("part of tests/kernel")
	}
	path := filepath.Join(*inKernel, "disk.img")
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	env := testEnv(t)
	env.Root = *inKernel
	encryption := stubEncryption(16*disk.MiB, 4096)
	action := plan.Create{
		Number: 1, Extent: disk.Extent{Offset: disk.MiB, Size: 94 * disk.MiB}, Encryption: &encryption,
		Filesystem: &plan.Filesystem{Format: "ext4", UUID: uuid.New(), CopyFiles: []plan.CopyFile{{CopyFile: definitions.CopyFile{Source: "/seed", Target: "/"}}}},
	}
	x := newRun(env, mute{dev}, &plan.Plan{Target: plan.Target{SectorSize: 512}}, disk.Snapshot{})
	v, err := newVolume(t.Context(), env, encryption)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	if err := x.whileOpen(t.Context(), action.Extent, v, true, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	part, err := blockdev.NewSection(dev, action.Extent)
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Zero(disk.Extent{Size: part.Size()}); err != nil {
		t.Fatal(err)
	}
	x.volumes[action.Number] = v
	if err := x.makeFilesystem(t.Context(), action); err != nil {
		t.Fatal(err)
	}
	c := creation{run: x, action: action, data: part}
	if err := c.createInKernel(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if _, err := dm.Lookup("sealpart-create-" + v.header.UUID); !errors.Is(err, dm.ErrNotFound) {
		t.Errorf("the device is still there (%v)", err)
	}
	content, err := os.Create(filepath.Join(*inKernel, "content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Export(t.Context(), env, part, content), content.Close()); err != nil {
		t.Fatal(err)
	}
}
