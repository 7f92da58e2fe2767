package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// convertRoot wants root encrypted, with a key in the TPM and one to spare, which lies
// in the initrd here so that the test needs no other place for it.
const convertRoot = `[partition]
type = "root"
weight = 0

[encryption]
existing = "convert"
header_room = ["grow"]

[[encryption.key]]
type = "tpm2"
pcrs = [7]

[[encryption.key]]
type = "file"
path = "/etc/sealpart.d/spare.key"
`

// install installs sealpart as a package would, with a definition in /etc, or all of a
// folder of them, and returns the tree.
func install(t *testing.T, dir, definition string) string {
	t.Helper()
	return installFor(t, "amd64", dir, definition)
}

// installFor does that for an architecture, in Go's words.
func installFor(t *testing.T, goarch, dir, definition string) string {
	t.Helper()
	tree := filepath.Join(dir, "installed")
	rig.Run(t, "env", "GOARCH="+goarch, "make", "-s", "-C", "../..", "install", "DESTDIR="+tree, "BUILD="+filepath.Join(dir, "build"))
	if strings.Contains(definition, "\n") {
		put(t, tree, "etc/sealpart.d/10-root.toml", definition)
		return tree
	}
	rig.Run(t, "sh", "-c", fmt.Sprintf("mkdir -p %[1]s && cp %[2]s/*.toml %[1]s", filepath.Join(tree, "etc/sealpart.d"), definition))
	return tree
}

// generate runs an initramfs generator as on a machine where the tree is installed: in
// a mount namespace of its own, over this machine's /usr and /etc.
func generate(t *testing.T, tree, command string) {
	t.Helper()
	flags := "-m"
	if os.Geteuid() != 0 {
		flags = "-rm"
	}
	rig.Run(t, "unshare", flags, "sh", "-ec", fmt.Sprintf(`
for d in usr etc; do mount -t overlay -o lowerdir=%s/$d:/$d overlay /$d; done
%s`, tree, command))
}

// systemdUnits is what an initrd needs beside dracut's modules to open volumes by
// systemd alone, without dracut's own scripts.
var systemdUnits = []string{
	"systemd-cryptsetup", "system-generators/systemd-cryptsetup-generator", "system-generators/systemd-gpt-auto-generator",
	"system-generators/systemd-fstab-generator", "system/cryptsetup.target", "system/cryptsetup-pre.target",
	"system/sysinit.target.wants/cryptsetup.target", "system/remote-cryptsetup.target",
	"system/initrd-root-device.target.wants/remote-cryptsetup.target", "system/blockdev@.target",
}

// systemdExtra is what a distribution adds to an initrd of systemd alone. Devices are
// waited for four seconds only, and the unit has six: less than a conversion takes,
// which must not matter. What fails ends in a machine that is switched off.
var systemdExtra = map[string]string{
	"usr/lib/initrd-release":                          "ID=initrd\nNAME=initrd\n",
	"etc/modules-load.d/test.conf":                    "virtio_pci\nvirtio_blk\ndm_mod\ndm_crypt\n",
	"etc/systemd/system.conf.d/test.conf":             "[Manager]\nDefaultDeviceTimeoutSec=4s\n",
	"etc/systemd/system/sealpart.service.d/test.conf": "[Service]\nTimeoutStartSec=6s\n",
	"usr/lib/systemd/system/emergency.target":         "[Unit]\nDefaultDependencies=no\nRequires=emergency.service\nAfter=emergency.service\nAllowIsolate=yes\n",
	"usr/lib/systemd/system/emergency.service":        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nStandardOutput=tty\nTTYPath=/dev/console\nExecStart=/usr/bin/echo EMERGENCY\nExecStart=/usr/bin/systemctl poweroff --force --force\n",
	"etc/sealpart.d/spare.key":                        "a key file of the tests",
}

// put writes a file below a tree, and the folders to it.
func put(t *testing.T, tree, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(tree, filepath.Dir(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, tree, name, content)
}

// systemdInitrd makes an initrd with systemd and nothing of dracut's own in it but the
// generator. What lies in the folder "extra" of dir goes into it, too, and more programs.
func systemdInitrd(t *testing.T, dir, definition string, more ...string) string {
	t.Helper()
	installed := install(t, dir, definition)
	extra := filepath.Join(dir, "extra")
	for name, content := range systemdExtra {
		put(t, extra, name, content)
	}
	rig.Run(t, "ln", "-sf", "../usr/lib/initrd-release", filepath.Join(extra, "etc/initrd-release"))
	programs := []string{"echo", "sleep", "systemctl", "journalctl", "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"}
	programs = append(programs, more...)
	for _, unit := range systemdUnits {
		programs = append(programs, "/usr/lib/systemd/"+unit)
	}
	path := filepath.Join(dir, "initrd.img")
	testenv.Need(t, "dracut")
	generate(t, installed, strings.Join([]string{
		"dracut --quiet --force --no-hostonly --no-hostonly-cmdline --no-machineid --kver", kernelVersion(t),
		"-m 'systemd systemd-initrd systemd-udevd systemd-journald systemd-modules-load udev-rules dm fs-lib tpm2-tss sealpart'",
		"--drivers 'virtio_pci virtio_blk dm_mod dm_crypt aesni_intel xts efivarfs softdog' --install '" + strings.Join(programs, " ") + "'",
		"--include", extra, "/ --compress 'zstd -1 -T0'", path,
	}, " "))
	return path
}
