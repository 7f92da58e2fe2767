package executor

import (
	"bytes"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// mbrDefinition takes the only ext4 of an MBR disk, whose partition has room behind
// its file system.
var mbrDefinition = map[string]string{"10-root": `partition = { type = "linux-generic", match = { filesystem = "ext4" } }
encryption = { existing = "convert", header_room = ["gap", "grow", "shrink"], header_size = "1M", key = [{ type = "file" }] }`}

// mbrImage is a disk as a Raspberry Pi's, with rubbish in its first partition.
func mbrImage(t testing.TB, plain []byte) []byte {
	t.Helper()
	image := make([]byte, 10*disk.MiB)
	copy(image[disk.MiB:], bytes.Repeat([]byte("boot"), 1000))
	copy(image[3*disk.MiB:], plain)
	return partitioned(t, image, "label: dos\nstart=2048, size=2048, type=c, bootable\nstart=6144, size=12288, type=83\n")
}

// TestConvertOnMBR: a partition of an MBR is converted where it is, not a byte
// outside it changes, and the next run finds nothing to do.
func TestConvertOnMBR(t *testing.T) {
	plain := extImage(t, 4*disk.MiB)
	image := mbrImage(t, plain)
	dev := simdev.New(image)
	for range 2 {
		if err := applyTo(t, dev, mbrDefinition, fileStub{}); err != nil {
			t.Fatal(err)
		}
	}
	extent := disk.Extent{Offset: 3 * disk.MiB, Size: 6 * disk.MiB}
	after := dev.Bytes()
	if !bytes.Equal(after[:extent.Offset], image[:extent.Offset]) || !bytes.Equal(after[extent.End():], image[extent.End():]) {
		t.Error("something outside the partition changed")
	}
	part, err := blockdev.NewSection(dev, extent)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Export(t.Context(), testEnv(t), part, &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes()[:len(plain)], plain) {
		t.Error("the content differs")
	}
	if !opensBy(t, read(t, dev, extent), passphrase) {
		t.Error("cryptsetup does not open the volume")
	}
}
