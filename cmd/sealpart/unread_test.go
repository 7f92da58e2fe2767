package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev"
)

// counted is a block device, as far as it does not know where it reads as zero, and counts what is read.
type counted struct {
	blockdev.Device
	read int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.read += len(p)
	return c.Device.ReadAt(p, off)
}

// TestNothingToDoReadsNoFreeSpace: a boot does not wait for 64 MiB that no definition wants.
func TestNothingToDoReadsNoFreeSpace(t *testing.T) {
	dir := t.TempDir()
	image, defs := filepath.Join(dir, "disk"), filepath.Join(dir, "defs")
	sfdisk := exec.Command("sh", "-ec", "PATH=$PATH:/usr/sbin:/sbin; truncate -s 200M "+image+"; echo 'start=196608, size=8192, type=linux, name=data' | sfdisk -q -X gpt "+image)
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dev, err := blockdev.Open(image, blockdev.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	for wants, more := range map[string]string{"nothing": "weight = 0\n", "room": "size_min = \"8M\"\nsize_max = \"8M\"\n"} {
		text := "[partition]\ntype = \"linux-generic\"\nlabel = \"data\"\n" + more
		if err := os.WriteFile(filepath.Join(defs, "10-data.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		device := &counted{Device: dev}
		w, err := gather(&planFlags{definitions: []string{defs}, empty: "refuse", leftovers: "keep", seed: "random"})
		if err != nil {
			t.Fatal(err)
		}
		plan, saw, err := w.plan(t.Context(), device, 0)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Empty() != (wants == "nothing") || saw.FreeUnread != plan.Empty() {
			t.Errorf("wants %s: %+v, free space unread %t", wants, plan.Actions, saw.FreeUnread)
		}
		read[wants] = device.read
	}
	if read["nothing"] > 2<<20 || read["room"] < 64<<20 {
		t.Errorf("bytes read: %v", read)
	}
	t.Logf("bytes read: %v", read)
}
