package boot

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// bootTime is how long a boot may take. It takes 20 seconds where nothing else runs.
const bootTime = 3 * time.Minute

// consoleOptions are what every kernel gets. A root that is mounted must not change by it.
const consoleOptions = "console=ttyS0 panic=-1 quiet ro fsck.mode=skip systemd.show_status=1"

// machine is a computer with one disk and a TPM.
type machine struct {
	dir     string
	plain   rig.Plain // what the factory delivers
	uuid    string    // of the root file system
	disk    string    // path of the image; plain.Path is left as it is
	tpm     string    // folder with the TPM's state
	initrd  string
	cmdline string
	options []string // further options of qemu
}

// rootInit is the first program of the root file system. It mounts nothing writable, so
// that the file system stays as it was, byte by byte.
const rootInit = `#!/bin/busybox sh
b=/bin/busybox
exec >/dev/console 2>&1 </dev/null
$b mount -t proc proc /proc; [ -d /sys/block ] || $b mount -t sysfs sys /sys
echo "CHECK root $($b awk '$2 == "/" { print $1, $3 }' /proc/mounts | $b tail -n 1)"
for d in /sys/block/dm-*; do echo "CHECK mapping $($b cat $d/dm/uuid) over" $($b ls $d/slaves); done
echo "CHECK the table was read $($b dmesg | $b grep -c '\] *vda: vda1') times"
(cd /deep && $b sha256sum -c ../sums >/dev/null) && echo "CHECK files are whole"
$b poweroff -f
`

// newMachine makes a machine as the factory delivers it.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir()}
	m.disk, m.tpm = filepath.Join(m.dir, "disk.img"), filepath.Join(m.dir, "tpm")
	tree := filepath.Join(m.dir, "tree")
	for _, dir := range []string{"bin", "dev", "etc", "proc", "run", "sbin", "sys", "tmp", "usr/lib"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rig.Run(t, "cp", testenv.Need(t, "busybox"), filepath.Join(tree, "bin/busybox"))
	rig.File(t, tree, "sbin/init", rootInit)
	rig.Run(t, "chmod", "755", filepath.Join(tree, "sbin/init"))
	rig.File(t, tree, "usr/lib/os-release", "ID=boot-test\nNAME=boot-test\nVERSION_ID=1\n") // or systemd does not switch to it
	rig.Run(t, "ln", "-s", "../usr/lib/os-release", filepath.Join(tree, "etc/os-release"))
	rig.Ext4(t, m.dir, 64) // the files, for their sums
	rig.File(t, tree, "sums", rig.Run(t, "sh", "-c", "cd "+tree+"/deep && sha256sum *"))
	m.plain = rig.NewPlain(t, m.dir, 64)
	m.uuid = strings.TrimSpace(rig.Run(t, "blkid", "-o", "value", "-s", "UUID", m.plain.Root))
	rig.Copy(t, m.plain.Path, m.disk)
	if err := os.Mkdir(m.tpm, 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

// unlock is a kernel command line for a root that systemd-cryptsetup unlocks by token,
// and fails to without asking anybody.
func (m *machine) unlock() string {
	return "root=/dev/mapper/root rd.luks.name=" + m.uuid + "=root rd.luks.options=tpm2-device=auto,headless=1"
}

func (m *machine) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(m.disk)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// mustMount boots, and the root file system must come to be mounted from the given
// device, with all its files.
func (m *machine) mustMount(t *testing.T, device string) (log string) {
	t.Helper()
	log = m.boot(t)
	for _, said := range []string{"CHECK root " + device + " ext4", "CHECK files are whole"} {
		if !strings.Contains(log, said) {
			t.Fatalf("the console does not say %q:\n%s", said, log)
		}
	}
	return log
}

// boot starts the machine and returns what it wrote to its console until it was
// switched off.
func (m *machine) boot(t *testing.T) (log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	began := time.Now()
	cmd, console := m.start(ctx, t)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("qemu: %v\n%s", err, console)
	}
	t.Logf("booted and switched off in %s", time.Since(began).Round(100*time.Millisecond))
	return console.String()
}

// start starts the machine with its TPM, which goes with it.
func (m *machine) start(ctx context.Context, t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-m", "768", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none",
		"-drive", "file=" + m.disk + ",if=virtio,format=raw",
	}
	args = append(args, m.options...)
	if m.tpm != "" {
		socket := startTPM(ctx, t, m.tpm)
		args = append(args, "-chardev", "socket,id=c,path="+socket, "-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-crb,tpmdev=t")
	}
	if m.initrd != "" {
		version := kernelVersion(t)
		args = append(args, "-kernel", "/boot/vmlinuz-"+version, "-initrd", m.initrd,
			"-append", consoleOptions+" rootfstype=ext4 rootflags=noload "+m.cmdline)
	}
	console := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, testenv.Need(t, "qemu-system-x86_64"), args...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, console
}

// startTPM starts a TPM for one boot and returns its control socket. It ends when qemu
// closes that, or with the test.
func startTPM(ctx context.Context, t *testing.T, state string) (socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "socket")
	cmd := exec.CommandContext(ctx, testenv.Need(t, "swtpm"), "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--ctrl", "type=unixio,path="+socket, "--pid", "file="+filepath.Join(dir, "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for range 500 {
		if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil {
			return socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not start")
	return ""
}

// kernelVersion returns the version of the cloud kernel that is installed.
func kernelVersion(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/boot/vmlinuz-*-cloud-amd64")
	if err != nil || len(found) == 0 {
		t.Fatalf("no cloud kernel in /boot; install linux-image-cloud-amd64: %v", err)
	}
	return strings.TrimPrefix(found[len(found)-1], "/boot/vmlinuz-")
}
