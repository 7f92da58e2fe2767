package boot

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

var arm64 = flag.String("arm64", "", "boot the static program for arm64, too: the `folder` that tools/arm64.sh made")

// TestARM64 is the first boot and the second of a device with another architecture, where
// nothing but busybox and the static program runs.
func TestARM64(t *testing.T) {
	if *arm64 == "" {
		t.Skip("only with -arm64 (make test-boot-long)")
	}
	found, err := filepath.Glob(filepath.Join(*arm64, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d kernels in %s: %v", len(found), *arm64, err)
	}
	root, err := filepath.Abs(*arm64)
	if err != nil {
		t.Fatal(err)
	}
	newMachineOf(t, board{
		qemu:    testenv.Need(t, "qemu-system-aarch64"),
		options: []string{"-M", "virt", "-cpu", "max", "-m", "768", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"},
		tpm:     "tpm-tis-device", root: root, version: strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-"),
		busybox: filepath.Join(root, "bin/busybox"), console: "ttyAMA0", goarch: "arm64",
		modules: []string{"virtio_pci", "virtio_blk", "ext4", "tpm_tis", "ecb", "xts", "aes-ce-blk", "dm_crypt"},
	}).bootTwice(t, strings.NewReplacer(
		`"root"`, `"root-x86-64"`, // what the disk has: it is looked at here, too
		"pcrs = [7]", "pcrs = [7]\nblank = \"allow\"", // no firmware runs that would measure
	).Replace(convertRoot))
}
