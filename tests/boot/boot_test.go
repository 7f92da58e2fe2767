// Package boot boots whole machines: qemu without hardware support, Debian's cloud
// kernel, a software TPM behind a real TPM device, and an initramfs of a real system
// with our unit or hook in it, made by that system's own generator from what "make
// install" installs. The root file system says on the console how it was mounted.
package boot

import (
	"flag"
	"os"
	"path/filepath"
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
	if log := m.mustMount(t, "/dev/mapper/root"); !strings.Contains(log, "CHECK the table was read 1 times") {
		t.Errorf("partitions went and came back:\n%s", log)
	}
	m.plain.CheckFiles(t, m.disk)
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

// TestExample boots with the definitions of examples/first-boot: beside the root that is
// encrypted a new partition is made, by programs that the initramfs has because the
// definitions call for them.
func TestExample(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, "../../examples/first-boot")
	if err := os.Truncate(m.disk, 400<<20); err != nil { // a larger disk than the image was made for
		t.Fatal(err)
	}
	m.cmdline = m.unlock()
	m.mustMount(t, "/dev/mapper/root")
	for _, name := range []string{"root", "data"} {
		if dump := rig.Run(t, "cryptsetup", "luksDump", rig.Extract(t, m.disk, name, m.disk+"."+name)); !strings.Contains(dump, "systemd-tpm2") || strings.Contains(dump, "reencrypt") {
			t.Errorf("%s is not encrypted and sealed:\n%s", name, dump)
		}
	}
	if log := m.mustMount(t, "/dev/mapper/root"); strings.Contains(log, "sealpart[") {
		t.Errorf("the second boot had something to say:\n%s", log)
	}
}

// TestWatchdog: a watchdog that resets the machine after three seconds is fed while the
// disk is converted, which takes longer, and is stopped then.
func TestWatchdog(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = m.unlock() + " modules_load=softdog softdog.soft_margin=3 sealpart.watchdog=/dev/watchdog0"
	if log := m.mustMount(t, "/dev/mapper/root"); strings.Contains(log, "did not stop") {
		t.Errorf("it was not stopped:\n%s", log)
	}
	m.plain.CheckFiles(t, m.disk)
}

// TestSwitchedOff: a machine that is switched off in the middle stops at a commit point,
// and its next boot goes on.
func TestSwitchedOff(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	units := filepath.Join(m.dir, "extra/usr/lib/systemd/system")
	put(t, units, "off.service", "[Unit]\nDefaultDependencies=no\nConditionKernelCommandLine=switch-off\nAfter=systemd-udev-trigger.service\n"+
		"[Service]\nType=oneshot\nExecStart=/usr/bin/sleep 4\nExecStart=/usr/bin/systemctl poweroff --no-block\n")
	put(t, units, "sysinit.target.wants/off.service", "")
	rig.Run(t, "ln", "-sf", "../off.service", filepath.Join(units, "sysinit.target.wants/off.service"))
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = m.unlock() + " switch-off"
	if log := m.boot(t); strings.Contains(log, "CHECK") || strings.Contains(log, "EMERGENCY") || !strings.Contains(log, "interrupted; run again to go on") {
		t.Fatalf("it was not switched off in the middle:\n%s", log)
	}
	m.cmdline = m.unlock()
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
}
