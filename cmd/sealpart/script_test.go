package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sealpart/sealpart/internal/pkcs11"
	"github.com/sealpart/sealpart/internal/testenv"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sealpart": func() { exit(Main(untilSignal(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs what a user could type, in testdata/script. What the scripts use
// beside sealpart and a shell must be installed.
func TestScripts(t *testing.T) {
	for _, program := range []string{"sfdisk", "sgdisk", "mkfs.ext4", "mkfs.vfat", "fsck.vfat", "e2fsck", "debugfs", "cryptsetup", "veritysetup", "mcopy", "swtpm", "tpm2_unseal", "jq", "openssl", "softhsm2-util", "pkcs11-tool"} {
		testenv.Need(t, program)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", env.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("EXAMPLES", examples)
			env.Setenv("LC_ALL", "C")
			env.Setenv("TMPDIR", env.WorkDir)
			// Volumes on loop devices that have the same UUID would wait for each other's locks.
			env.Setenv("SEED", uuid.NewSHA1(uuid.NameSpaceURL, []byte(filepath.Base(env.WorkDir))).String())
			env.Values["t"], env.Values["tpm"] = t, new(scriptTPM)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "root":
				return os.Geteuid() == 0, nil
			case "pkcs11":
				return pkcs11.Built, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"tpm": startTPM, "loop": attachLoop},
	})
}

// scriptTPM is the TPM of a script: where its state is, and what takes its power away.
type scriptTPM struct {
	state string
	cut   func()
}

// startTPM is the script command "tpm": it starts a software TPM and sets TPM to what
// --tpm2-device takes. "tpm blank" is one that nothing is measured into; "tpm cut" takes the
// power from the other, and gives it back.
func startTPM(ts *testscript.TestScript, _ bool, args []string) {
	t, tpm := ts.Value("t").(*testing.T), ts.Value("tpm").(*scriptTPM)
	var device string
	switch strings.Join(args, " ") {
	case "blank":
		device = testenv.StartBlankSWTPM(t)
	case "cut":
		tpm.cut()
		device, tpm.cut = testenv.StartSWTPMPersistent(t, tpm.state)
	default:
		tpm.state = t.TempDir()
		device, tpm.cut = testenv.StartSWTPMPersistent(t, tpm.state)
	}
	ts.Setenv("TPM", device)
	ts.Setenv("TPM2TOOLS_TCTI", device)
}

// attachLoop is the script command "loop": it runs losetup with its arguments, the
// last of which is an image, and sets LOOP to the device, which goes with the script.
func attachLoop(ts *testscript.TestScript, _ bool, args []string) {
	args[len(args)-1] = ts.MkAbs(args[len(args)-1])
	out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).Output()
	ts.Check(err)
	device := strings.TrimSpace(string(out))
	ts.Defer(func() { ts.Check(exec.Command("losetup", "-d", device).Run()) })
	ts.Setenv("LOOP", device)
}
