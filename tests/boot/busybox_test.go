package boot

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// busyboxModules are what the cloud kernel needs for the machine, in the order in which
// they are loaded.
var busyboxModules = []string{"virtio_pci", "virtio_blk", "ext4", "tpm_crb", "ecb", "xts", "aesni_intel", "dm_crypt"}

// busyboxInitrd makes the initramfs of initramfs/busybox.
func busyboxInitrd(t *testing.T, dir string) string {
	t.Helper()
	tree, version := install(t, dir, convertRoot), kernelVersion(t)
	put(t, tree, "etc/sealpart.d/spare.key", "a key file of the tests")
	put(t, tree, "etc/modules", strings.Join(busyboxModules, "\n"))
	path := filepath.Join(dir, "initrd.img")
	rig.Run(t, "sh", "-ec", fmt.Sprintf(`
cp ../../initramfs/busybox/init %[1]s/init
mkdir -p %[1]s/bin && cp %[2]s %[1]s/bin/
for m in %[3]s; do modprobe -S %[4]s --show-depends $m; done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
	mkdir -p %[1]s${file%%/*} && cp $file %[1]s$file
done
cp /lib/modules/%[4]s/modules.order /lib/modules/%[4]s/modules.builtin %[1]s/lib/modules/%[4]s/ && depmod -b %[1]s %[4]s
rm -rf %[1]s/usr/lib %[1]s/usr/share
(cd %[1]s && find . | cpio --quiet -o -H newc) | zstd -1 -q >%[5]s`,
		tree, testenv.Need(t, "busybox"), strings.Join(busyboxModules, " "), version, path))
	return path
}

// TestBusybox is the first boot and the second where there is neither systemd nor udev.
func TestBusybox(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = busyboxInitrd(t, m.dir)
	m.cmdline = "sealpart.device=/dev/vda"
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
	before := rig.Sum(t, m.disk, m.size(t))
	m.mustMount(t, "/dev/mapper/root")
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the second boot wrote to the disk")
	}
}
