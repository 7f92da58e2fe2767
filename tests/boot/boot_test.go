// Package boot boots whole machines: qemu without hardware support, Debian's cloud
// kernel, a software TPM behind a real TPM device, and an initramfs of a real system
// with our unit or hook in it, made by that system's own generator from what "make
// install" installs. The root file system says on the console how it was mounted.
package boot

import (
	"flag"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// A boot takes 15 to 25 seconds of two cores. The tests that need many run only where
// they are asked for.
var all = flag.Bool("all", false, "all boots, some minutes")

func TestMain(m *testing.M) { rig.Main(m) }

// needAll skips a test of the longer form.
func needAll(t *testing.T) {
	t.Helper()
	if !*all {
		t.Skip("only with -all (make test-boot)")
	}
}

// TestFirstBoot is what sealpart is for. A plain image from the factory boots once and
// is encrypted, with a key in its own TPM; the next boot unlocks it by systemd-cryptsetup
// from the token, and finds nothing to do.
func TestFirstBoot(t *testing.T) {
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = m.unlock()
	m.mustMount(t, "/dev/mapper/root")
	m.plain.Check(t, m.disk)
	if tokens := rig.Run(t, "cryptsetup", "luksDump", rig.Extract(t, m.disk, "root", m.disk+".root")); !strings.Contains(tokens, "systemd-tpm2") {
		t.Errorf("the volume has no token of systemd's:\n%s", tokens)
	}

	before := rig.Sum(t, m.disk, m.size(t))
	if log := m.mustMount(t, "/dev/mapper/root"); strings.Contains(log, "sealpart[") {
		t.Errorf("the second boot had something to say:\n%s", log)
	}
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the second boot wrote to the disk")
	}
}
