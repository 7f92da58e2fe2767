package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// busyboxInitrd makes the initramfs of initramfs/busybox, for a definition or a folder of
// them.
func (m *machine) busyboxInitrd(t *testing.T, definition string) string {
	t.Helper()
	dir := t.TempDir()
	tree := installFor(t, m.goarch, dir, definition)
	put(t, tree, "etc/sealpart.d/spare.key", "a key file of the tests")
	put(t, tree, "etc/modules", strings.Join(m.modules, "\n"))
	path := filepath.Join(dir, "initrd.img")
	rig.Run(t, "sh", "-ec", fmt.Sprintf(`
cp ../../initramfs/busybox/init %[1]s/init
for program in $(%[6]s doctor --programs --definitions %[1]s/etc/sealpart.d); do
	cp --parents $(command -v $program) $(ldd $(command -v $program) | grep -o '/[^ ]*') %[1]s
done
mkdir -p %[1]s/bin && cp %[2]s %[1]s/bin/
depmod -b %[7]s %[4]s
for m in %[3]s; do modprobe -d %[7]s -S %[4]s --show-depends $m; done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
	to=%[1]s/${file#%[7]s} && mkdir -p ${to%%/*} && cp $file $to
done
cp %[7]s/lib/modules/%[4]s/modules.order %[7]s/lib/modules/%[4]s/modules.builtin %[1]s/lib/modules/%[4]s/ && depmod -b %[1]s %[4]s
rm -rf %[1]s/usr/lib/systemd %[1]s/usr/lib/dracut %[1]s/usr/share
(cd %[1]s && find . | cpio --quiet -o -H newc) | zstd -1 -q >%[5]s`,
		tree, m.busybox, strings.Join(m.modules, " "), m.version, path, rig.Sealpart(t).Path, m.root))
	return path
}

// TestBusybox is the first boot and the second where there is neither systemd nor udev.
func TestBusybox(t *testing.T) {
	needAll(t)
	newMachine(t).bootTwice(t, convertRoot)
}

// bootTwice boots by busybox: root is encrypted, and opened.
func (m *machine) bootTwice(t *testing.T, definition string) {
	t.Helper()
	m.initrd = m.busyboxInitrd(t, definition)
	m.cmdline = "sealpart.device=/dev/vda"
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
	before := rig.Sum(t, m.disk, m.size(t))
	m.mustMount(t, "/dev/mapper/root")
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the second boot wrote to the disk")
	}
}

// TestFieldUpdate boots examples/field-update on a device with two plain roots: both are
// encrypted. The version that is fallen back to boots the other one, and leaves all as it is.
func TestFieldUpdate(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.twoRoots(t)
	m.initrd = m.busyboxInitrd(t, "../../examples/field-update")
	m.cmdline = "sealpart.device=/dev/vda root=PARTLABEL=root-b"
	m.mustMount(t, "/dev/mapper/root")
	for _, name := range []string{"root-a", "root-b"} {
		if dump := rig.Run(t, "cryptsetup", "luksDump", rig.Extract(t, m.disk, name, m.disk+"."+name)); !strings.Contains(dump, "systemd-tpm2") || strings.Contains(dump, "reencrypt") {
			t.Errorf("%s is not encrypted and sealed:\n%s", name, dump)
		}
	}
	m.initrd = m.busyboxInitrd(t, "../../examples/field-update/fallback")
	m.cmdline = "sealpart.device=/dev/vda root=PARTLABEL=root-a"
	before := rig.Sum(t, m.disk, m.size(t))
	m.mustMount(t, "/dev/mapper/root")
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the version that is fallen back to wrote to the disk")
	}
}

// twoRoots makes a disk of two partitions that the root file system fills, with no room
// behind them.
func (m *machine) twoRoots(t *testing.T) {
	t.Helper()
	const root = "type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	rig.File(t, m.dir, "disk.img", "")
	if err := os.Truncate(m.disk, 210<<20); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, "label: gpt\nstart=1MiB, size=104MiB, "+root+", name=root-a\nstart=105MiB, size=104MiB, "+root+", name=root-b\n", "sfdisk", "-q", m.disk)
	full := filepath.Join(m.dir, "full")
	rig.Copy(t, m.plain.Root, full)
	if err := os.Truncate(full, 104<<20); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, "e2fsck", "-fp", full)
	rig.Run(t, "resize2fs", full)
	for _, seek := range []string{"seek=1", "seek=105"} {
		rig.Run(t, "dd", "if="+full, "of="+m.disk, "bs=1M", seek, "conv=notrunc,sparse", "status=none")
	}
}

// TestVerityRoot boots the image of examples/verity-root: its first boot makes var, sealed
// to the TPM, and the kernel checks root against the hash on its command line. A plain var, which
// somebody has put in the place of the encrypted one, is not used.
func TestVerityRoot(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	build := t.TempDir()
	rig.Run(t, "cp", "-r", filepath.Join(m.dir, "tree"), filepath.Join(build, "rootfs"))
	if err := os.Remove(m.disk); err != nil {
		t.Fatal(err)
	}
	rig.Must(t, "apply", "--definitions", "../../examples/verity-root", "--root", build, "--seed", rig.Seed, "--empty=create", "--size=256M", m.disk)
	if err := os.Truncate(m.disk, 400<<20); err != nil { // the device has more
		t.Fatal(err)
	}
	data, hash := rig.Find(t, m.disk, "root-x86-64"), rig.Find(t, m.disk, "root-x86-64-verity")
	m.initrd = m.busyboxInitrd(t, "../../examples/verity-root/device")
	m.cmdline = "sealpart.device=/dev/vda sealpart.open=var roothash=" + strings.ToLower(strings.ReplaceAll(data.UUID+hash.UUID, "-", ""))
	for boots := range 2 {
		log := m.mustMount(t, "/dev/mapper/root")
		for _, said := range []string{"CHECK mapping CRYPT-VERITY-", "CHECK mapping CRYPT-LUKS2-"} {
			if !strings.Contains(log, said) {
				t.Errorf("boot %d: the console does not say %q:\n%s", boots+1, said, log)
			}
		}
	}
	planted := rig.Find(t, m.disk, "var")
	rig.Run(t, "dd", "if=/dev/zero", "of="+m.disk, "bs=512", fmt.Sprintf("seek=%d", planted.Start), "count=16384", "conv=notrunc", "status=none") // both copies of the header
	rig.Run(t, "mkfs.ext4", "-qF", "-E", fmt.Sprintf("offset=%d", planted.Start*512), m.disk, fmt.Sprintf("%dk", planted.Size/2))
	m.mustStop(t, "sealpart: var does not open", "no LUKS2 header")
}
