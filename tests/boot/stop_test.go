package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// The boots that do not encrypt: where something is wrong before anything was written,
// the machine boots as it is, or stops with one message, as its definition says.

// mustStop boots, and the machine must stop with the given last word without mounting a root,
// the disk as it was. Some switch themselves off then, the others are.
func (m *machine) mustStop(t *testing.T, last, message string) {
	t.Helper()
	before := rig.Sum(t, m.disk, m.size(t))
	log, _ := m.run(t, func(log string) bool { return strings.Contains(log, last) })
	if strings.Contains(log, "CHECK root") || !strings.Contains(log, last) {
		t.Errorf("the boot did not stop:\n%s", log)
	}
	if !strings.Contains(log, message) {
		t.Errorf("the console does not say %q:\n%s", message, log)
	}
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the disk has changed")
	}
}

// mustBootPlain boots, and the plain root must be mounted, the disk as it was.
func (m *machine) mustBootPlain(t *testing.T, message string) {
	t.Helper()
	before := rig.Sum(t, m.disk, m.size(t))
	if log := m.mustMount(t, "/dev/vda1"); !strings.Contains(log, message) {
		t.Errorf("the console does not say %q:\n%s", message, log)
	}
	if rig.Sum(t, m.disk, m.size(t)) != before {
		t.Error("the disk has changed")
	}
}

// TestLostTPM: the TPM of a machine that was encrypted is gone. It does not boot, loses
// nothing, and the spare key opens it.
func TestLostTPM(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = m.unlock()
	m.mustMount(t, "/dev/mapper/root")
	m.tpm = filepath.Join(m.dir, "another")
	if err := os.Mkdir(m.tpm, 0o700); err != nil {
		t.Fatal(err)
	}
	m.mustStop(t, "EMERGENCY", "Failed to start")
	m.plain.CheckFiles(t, m.disk)
}

// TestNoKey: a machine without a TPM, whose definition demands one, stops; where the
// definition leaves the root as it is, it boots.
func TestNoKey(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.tpm, m.cmdline = "", "root=/dev/vda1"
	definition := strings.Replace(convertRoot, "pcrs = [7]", "pcrs = [7]\nrequired = true", 1)
	m.initrd = systemdInitrd(t, m.dir, definition)
	m.mustStop(t, "EMERGENCY", "sealpart: error: partition 1: reencrypt: key 1 (tpm2): ")

	m.initrd = systemdInitrd(t, m.dir, strings.Replace(definition, "[encryption]", "[encryption]\nunavailable = \"leave\"", 1))
	m.mustBootPlain(t, "partition 1 is left as it is: ")
}

// TestLeftPlain: where nothing but busybox runs a machine without a TPM boots as it is, too, if
// its definition leaves it so, with what else is to be opened. Once there is a TPM it is encrypted.
func TestLeftPlain(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	tpm := m.tpm
	m.tpm, m.cmdline = "", "sealpart.device=/dev/vda sealpart.open=1"
	m.initrd = m.busyboxInitrd(t, strings.NewReplacer("[encryption]", "[encryption]\nunavailable = \"leave\"", "pcrs = [7]", "pcrs = [7]\nrequired = true").Replace(convertRoot))
	m.mustBootPlain(t, "partition 1 is left as it is: ")
	m.tpm, m.cmdline = tpm, "sealpart.device=/dev/vda"
	m.mustMount(t, "/dev/mapper/root")
	m.plain.CheckFiles(t, m.disk)
}

// TestLateTPM: a machine without a TPM is encrypted by its spare key alone, which nothing
// in its initramfs opens the root by. Once there is a TPM, the boot adds its key and goes
// on.
func TestLateTPM(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	tpm := m.tpm
	m.initrd, m.cmdline, m.tpm = systemdInitrd(t, m.dir, convertRoot), m.unlock(), ""
	if log := m.boot(t); strings.Contains(log, "CHECK root") || !strings.Contains(log, "goes without a key that is not here: key 1 (tpm2)") {
		t.Fatalf("without a TPM:\n%s", log)
	}
	m.plain.CheckFiles(t, m.disk)
	m.tpm = tpm
	if log := m.mustMount(t, "/dev/mapper/root"); !strings.Contains(log, "enroll partition 1") {
		t.Errorf("with a TPM:\n%s", log)
	}
	m.plain.CheckFiles(t, m.disk)
}

// TestRefused: where there is no room for a header, or the kernel command line says so,
// nothing is done and the machine boots.
func TestRefused(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, strings.Replace(convertRoot, `"grow"`, `"gap"`, 1))
	m.cmdline = "root=/dev/vda1"
	m.mustBootPlain(t, "nothing was written; the boot goes on with the disk as it is")
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = "root=/dev/vda1 sealpart=0"
	m.mustBootPlain(t, "")
}
