// Package kernel shows our volumes to a real Linux kernel, which runs as an ordinary
// program (user-mode-linux) on this machine's own files: dm-crypt, dm-verity and
// cryptsetup's activation judge what the offline tools cannot.
package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

func TestMain(m *testing.M) { rig.Main(m, "testkeys") }

// prologue brings the kernel up. It mounts over nothing that the tests write to, and
// keeps the modules' index out of this machine's own, where the kernel therefore does not
// find those that it wants later: ciphers are loaded beforehand. Go's signals that preempt
// goroutines are off: in this kernel each takes as long as a system call. For that, too, large
// files are compared by programs that read more at once than cmp does.
const prologue = `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DM_DISABLE_UDEV=1 GODEBUG=asyncpreemptoff=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmpfs /run
cd %q
exec >log 2>&1 </dev/null
mkdir -p /run/root/lib; ln -s /usr/lib/uml/modules /run/root/lib/modules
modprobe -d /run/root -a hmac cbc ecb xts dm-crypt dm-verity loop
same_bytes() { [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]; }
`

// judged is how a script ends one case: its name goes to the list of the good ones.
const judged = ` && echo %s >>good
`

// boot runs a script as the first program of a kernel and returns the names of the
// cases that it found good, with what it said.
func boot(t *testing.T, dir, script string) (good []string, log string) {
	t.Helper()
	testenv.Need(t, "modprobe") // of this machine, run by that kernel
	path := rig.File(t, dir, "init", fmt.Sprintf(prologue, dir)+script+"\ndmesg | tail -n 20; sync; halt -f\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Need(t, "linux.uml"), "mem=768M", "rootfstype=hostfs", "rootflags=/", "rw",
		"init="+path, "con=null", "con0=fd:0,fd:1", "quiet", "panic=-1", "pty.legacy_count=0") // making 256 of them takes half of the boot
	// The kernel is several processes, which all have the pipe of the output.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && len(said) == 0 {
		t.Fatalf("linux.uml: %v\n%s", err, out)
	}
	names, _ := os.ReadFile(filepath.Join(dir, "good"))
	return strings.Fields(string(names)), string(said)
}

// luks is the script of one LUKS2 volume: activated by cryptsetup, mounted, every
// file compared, one written, all closed again.
func luks(name, image string, p rig.Partition, key, sums string) string {
	return fmt.Sprintf(`
open() { loop=$(losetup -f --show -o %d --sizelimit %d %q) && cryptsetup open --key-file %q $loop %[5]s; }
mkdir -p /run/%[5]s
open && mount /dev/mapper/%[5]s /run/%[5]s && (cd /run/%[5]s && sha256sum --quiet -c %[6]q) && echo %[5]s >/run/%[5]s/written \
	&& umount /run/%[5]s && cryptsetup close %[5]s && losetup -d $loop`, p.Start*512, p.Size*512, image, key, name, sums) +
		fmt.Sprintf(judged, name)
}

// verity is the script of a data partition that is read through its hash tree.
func verity(name, data, hash, root, sums string) string {
	return fmt.Sprintf(`
mkdir -p /run/%[1]s
veritysetup open %[2]q %[1]s %[3]q %[4]s && mount -o ro /dev/mapper/%[1]s /run/%[1]s && (cd /run/%[1]s && sha256sum --quiet -c %[5]q) \
	&& umount /run/%[1]s && veritysetup close %[1]s`, name, data, hash, root, sums) + fmt.Sprintf(judged, name)
}
