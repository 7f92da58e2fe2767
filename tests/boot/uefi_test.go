package boot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

var uefi = flag.Bool("uefi", false, "boot under UEFI, too; a boot of a minute")

// TestUEFI boots as an image of systemd's own making does: firmware, a unified kernel
// image on the ESP, and nothing on the command line that says where root is.
// systemd-gpt-auto-generator finds it by its type, plain or encrypted.
func TestUEFI(t *testing.T) {
	if !*uefi {
		t.Skip("only with -uefi (make test-boot-long)")
	}
	m := newMachine(t)
	rig.Run(t, "tune2fs", "-O", "^has_journal", m.plain.Root) // that generator knows no rootflags=noload
	m.plain.Sum = rig.Sum(t, m.plain.Root, m.plain.Size)
	initrd := systemdInitrd(t, m.dir, convertRoot)
	m.espDisk(t, m.unifiedKernel(t, initrd))
	vars := rig.Copy(t, "/usr/share/OVMF/OVMF_VARS_4M.fd", filepath.Join(m.dir, "vars.fd"))
	m.options = []string{
		"-machine", "q35", "-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
		"-drive", "if=pflash,unit=1,format=raw,file=" + vars,
	}
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
	before := rig.Sum(t, m.disk, m.size(t))
	m.mustMount(t, "/dev/mapper/root")
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the second boot wrote to the disk")
	}
}

// unifiedKernel puts kernel, initrd and command line into one program for UEFI.
func (m *machine) unifiedKernel(t *testing.T, initrd string) string {
	t.Helper()
	path := filepath.Join(m.dir, "uki.efi")
	args := []string{}
	for _, section := range []struct{ name, file, address string }{
		{".osrel", filepath.Join(m.dir, "tree/usr/lib/os-release"), "0x20000"},
		{".cmdline", rig.File(t, m.dir, "cmdline", "console="+m.console+" "+consoleOptions), "0x30000"},
		{".linux", "/boot/vmlinuz-" + kernelVersion(t), "0x2000000"},
		{".initrd", initrd, "0x3000000"},
	} {
		args = append(args, "--add-section", section.name+"="+section.file, "--change-section-vma", section.name+"="+section.address)
	}
	rig.Run(t, "objcopy", append(args, "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", path)...)
	return path
}

// espDisk makes a disk with an ESP before the root.
func (m *machine) espDisk(t *testing.T, program string) {
	t.Helper()
	const espMiB, freeMiB = 96, 40
	esp := filepath.Join(m.dir, "esp.img")
	rig.File(t, m.dir, "esp.img", "")
	if err := os.Truncate(esp, espMiB<<20); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, "mkfs.vfat", "-F", "32", esp)
	rig.Run(t, "mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
	rig.Run(t, "mcopy", "-i", esp, program, "::/EFI/BOOT/BOOTX64.EFI")
	rootMiB := m.plain.Size >> 20
	if err := os.Truncate(m.disk, (espMiB+rootMiB+freeMiB+2)<<20); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, fmt.Sprintf("label: gpt\nstart=1MiB, size=%dMiB, type=U, name=esp\nstart=%dMiB, size=%dMiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n",
		espMiB, espMiB+1, rootMiB), "sfdisk", "-q", "--wipe=always", m.disk)
	rig.Run(t, "dd", "if="+esp, "of="+m.disk, "bs=1M", "seek=1", "conv=notrunc", "status=none")
	rig.Run(t, "dd", "if="+m.plain.Root, "of="+m.disk, "bs=1M", fmt.Sprintf("seek=%d", espMiB+1), "conv=notrunc", "status=none")
}
