package boot

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

var cutBoots = flag.Int("cut-boots", 0, "how many boots of each machine to cut off; 0 means four of the quickest alone")

// TestCutBoots: the power of a machine and of its TPM goes again and again after the root was
// opened by the TPM, as it does on machines that are switched off at the wall. The TPM, which
// three wrong tries lock, takes none for one, and the machine boots. Format "auto" is the widest
// for systemd 252, and the newest for "sealpart open"; in initramfs-tools the plugin opens it.
func TestCutBoots(t *testing.T) {
	needAll(t)
	for _, k := range kinds() {
		cuts := *cutBoots
		if k.name == "busybox" {
			cuts = max(cuts, 4)
		}
		if cuts == 0 {
			continue // the long form boots these
		}
		t.Run(k.name, func(t *testing.T) {
			m := newMachine(t)
			m.initrd, m.cmdline = k.initrd(t, m, convertRoot), k.unlock(m)
			m.mustMount(t, "/dev/mapper/root")
			if form := m.tokenForm(t); form != k.form {
				t.Errorf("the key has the %s form, want the %s", form, k.form)
			}
			cmdline := m.cmdline
			m.cmdline += " stay-up"
			for range cuts {
				m.cutWhenUp(t)
			}
			if counted := m.wrongTries(t); counted != "0x0" {
				t.Errorf("the TPM has counted %s wrong tries", counted)
			}
			m.cmdline = cmdline
			m.mustMount(t, "/dev/mapper/root")
			m.plain.CheckFiles(t, m.disk)
		})
	}
}

// tokenForm is "newest" where the root's TPM key lies under a persistent storage key.
func (m *machine) tokenForm(t *testing.T) string {
	t.Helper()
	dump := rig.Run(t, "cryptsetup", "luksDump", "--dump-json-metadata", rig.Extract(t, m.disk, "root", m.disk+".root"))
	switch {
	case strings.Contains(dump, `"tpm2_srk"`):
		return "newest"
	case strings.Contains(dump, `"systemd-tpm2"`):
		return "widest"
	}
	return "no"
}

// cutWhenUp boots, and takes the power from the TPM and the machine once the root file system
// is mounted and in use.
func (m *machine) cutWhenUp(t *testing.T) {
	t.Helper()
	log, cut := m.run(t, func(log string) bool { return strings.Contains(log, "CHECK files are whole") })
	if !cut {
		t.Fatalf("the machine does not come up:\n%s", log)
	}
}

// wrongTries asks the machine's TPM, which is started for that, how many it has counted.
func (m *machine) wrongTries(t *testing.T) string {
	t.Helper()
	device, stop := testenv.StartSWTPMPersistent(t, m.tpm)
	defer stop()
	cmd := exec.Command(testenv.Need(t, "tpm2_getcap"), "properties-variable")
	cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+device)
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`TPM2_PT_LOCKOUT_COUNTER: (0x[0-9A-F]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("tpm2_getcap: %v\n%s", err, out)
	}
	return string(found[1])
}
