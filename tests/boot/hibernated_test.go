package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// second gives the machine another disk, with the given content.
func (m *machine) second(t *testing.T, path string) {
	t.Helper()
	m.options = append(m.options, "-drive", "file="+path+",if=virtio,format=raw")
}

// patient gives the unit the time that it has outside of these tests: what is tested here is
// no timeout.
func (m *machine) patient(t *testing.T) {
	t.Helper()
	put(t, filepath.Join(m.dir, "extra"), "etc/systemd/system/sealpart.service.d/zz-patient.conf", "[Service]\nTimeoutStartSec=infinity\n")
}

// systemdResume is what brings a hibernated system back where systemd does.
var systemdResume = []string{
	"/usr/lib/systemd/systemd-hibernate-resume", "/usr/lib/systemd/system-generators/systemd-hibernate-resume-generator",
	"/usr/lib/systemd/system/systemd-hibernate-resume@.service",
}

// hibernate gives the machine a swap of which the kernel says that a system is in it. What is
// in it is none.
func (m *machine) hibernate(t *testing.T) (swap string) {
	t.Helper()
	swap = filepath.Join(m.dir, "swap.img")
	rig.Run(t, "sh", "-ec", `truncate -s 16M "$0"; mkswap -q "$0"; printf SWAPSPACE2S1SUSPEND'\000' | dd of="$0" bs=1 seek=4076 conv=notrunc status=none`, swap)
	m.second(t, swap)
	return swap
}

// TestHibernated: a system is hibernated in a swap on another disk of the machine. The
// disk of its root stays byte for byte as it was, and the boot goes on: to the resume,
// where the kernel comes to it. Once the swap is made anew the disk is encrypted.
func TestHibernated(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		m := newMachine(t)
		m.initrd, m.cmdline = k.initrd(t, m, convertRoot), k.plain
		swap := m.hibernate(t)
		before := rig.Sum(t, swap, 16<<20)
		m.mustBootPlain(t, "a system is hibernated in /dev/vdb (swsuspend), and would destroy what is changed under it")
		if rig.Sum(t, swap, 16<<20) != before {
			t.Error("the swap has changed")
		}
		rig.Run(t, "mkswap", "-q", swap)
		m.cmdline = k.unlock(m)
		m.mustMount(t, "/dev/mapper/root")
		m.plain.CheckFiles(t, m.disk)
	})
}

// TestResumeFirst: where the machine is to resume from the swap, the try comes first. Here
// nothing comes back, for what is in the swap is no system: the kernel takes the signature
// away, and the disk is encrypted in the same boot.
func TestResumeFirst(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		m := newMachine(t)
		m.initrd, m.cmdline = k.initrd(t, m, convertRoot), k.unlock(m)+" resume=/dev/vdb"
		m.hibernate(t)
		log := m.mustMount(t, "/dev/mapper/root")
		if strings.Contains(log, "a system is hibernated") || !strings.Contains(log, "encrypt") {
			t.Errorf("it was not encrypted after the try to resume:\n%s", log)
		}
		m.plain.CheckFiles(t, m.disk)
	})
}

// TestTwins: a disk with a copy of the root's was plugged in. Neither is touched, both are
// named, and the boot stops: whichever root it took could be an attacker's.
func TestTwins(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		m := newMachine(t)
		m.initrd, m.cmdline = k.initrd(t, m, convertRoot), k.byName+m.uuid
		copied := rig.Copy(t, m.disk, filepath.Join(m.dir, "copy.img"))
		m.second(t, copied)
		before := rig.Sum(t, copied, m.size(t))
		m.mustStop(t, k.stopped, "/dev/vda and /dev/vdb all answer to UUID="+m.uuid)
		if rig.Sum(t, copied, m.size(t)) != before {
			t.Error("the copy has changed")
		}
		if err := os.Remove(copied); err != nil {
			t.Fatal(err)
		}
		m.options, m.cmdline = nil, k.unlock(m)
		m.mustMount(t, "/dev/mapper/root")
	})
}
