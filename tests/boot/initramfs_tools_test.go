package boot

import (
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// unlockByCryptsetup is what Debian's own scripts do not do: root is opened by the token.
// The libraries of that are not linked, so that the hook brings them.
const (
	unlockHook = `#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
for file in /usr/sbin/cryptsetup /usr/lib/x86_64-linux-gnu/cryptsetup/libcryptsetup-token-systemd-tpm2.so \
	/usr/lib/x86_64-linux-gnu/libtss2-esys.so.0 /usr/lib/x86_64-linux-gnu/libtss2-rc.so.0 /usr/lib/x86_64-linux-gnu/libtss2-mu.so.0 \
	/usr/lib/x86_64-linux-gnu/libtss2-tctildr.so.0 /usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0; do
	copy_exec $file
done
cp /etc/sealpart.d/spare.key $DESTDIR/etc/sealpart.d/
`
	unlockScript = `#!/bin/sh
[ "$1" != prereqs ] || { echo sealpart; exit 0; }
. /scripts/functions
cryptsetup open --token-only --token-type systemd-tpm2 /dev/vda1 root
wait_for_udev 10
`
)

// initramfsToolsInitrd makes Debian's initramfs without systemd, in which a script of
// local-top opens the root.
func (m *machine) initramfsToolsInitrd(t *testing.T, definition string) string {
	t.Helper()
	tree := install(t, m.dir, definition)
	put(t, tree, "etc/sealpart.d/spare.key", "a key file of the tests")
	put(t, tree, "etc/initramfs-tools/conf.d/test", "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n")
	put(t, tree, "etc/initramfs-tools/modules", "virtio_pci\nvirtio_blk\ndm_mod\ndm_crypt\n")
	put(t, tree, "etc/initramfs-tools/hooks/unlock", unlockHook)
	put(t, tree, "etc/initramfs-tools/scripts/local-top/unlock", unlockScript)
	rig.Run(t, "chmod", "755", filepath.Join(tree, "etc/initramfs-tools/hooks/unlock"), filepath.Join(tree, "etc/initramfs-tools/scripts/local-top/unlock"))
	testenv.Need(t, "mkinitramfs")
	path := filepath.Join(m.dir, "initrd.img")
	generate(t, tree, "mkinitramfs -o "+path+" "+kernelVersion(t))
	return path
}

// TestInitramfsTools is the first boot and the second of a Debian whose initramfs has no
// systemd.
func TestInitramfsTools(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = m.initramfsToolsInitrd(t, convertRoot)
	m.cmdline = "root=/dev/mapper/root sealpart.device=/dev/vda"
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
	before := rig.Sum(t, m.disk, m.size(t))
	m.mustMount(t, "/dev/mapper/root")
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the second boot wrote to the disk")
	}
}
