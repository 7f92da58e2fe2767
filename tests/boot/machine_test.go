package boot

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// bootTime is how long a boot may take. It takes 20 seconds where nothing else runs, and minutes
// beside other tests.
const bootTime = 10 * time.Minute

// consoleOptions are what every kernel gets. A root that is mounted must not change by it. On a
// busy machine the kernel would take an emulated timer for a broken one.
const consoleOptions = "panic=-1 quiet no_timer_check ro fsck.mode=skip systemd.show_status=1"

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
	log     string   // file that takes every write and flush of the disk, "" for none
	cutTPM  func()   // takes the power from the TPM of a machine that runs
	board
}

// board is the kind of a machine: what qemu emulates, and what runs on it.
type board struct {
	qemu    string   // program
	options []string // of the machine without a disk
	tpm     string   // device
	root    string   // folder under which the kernel and its modules are: boot/ and lib/modules/
	version string   // of the kernel
	modules []string // what it needs for this machine, in the order in which they are loaded
	busybox string   // path
	console string
	goarch  string
}

// pc is a PC with Debian's kernel for clouds, as it is installed here.
func pc(t *testing.T) board {
	t.Helper()
	return board{
		qemu:    testenv.Need(t, "qemu-system-x86_64"),
		options: []string{"-accel", "tcg,thread=multi", "-cpu", "max", "-m", "768", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"},
		tpm:     "tpm-crb", root: "/", version: kernelVersion(t), busybox: testenv.Need(t, "busybox"), console: "ttyS0", goarch: "amd64",
		modules: []string{"virtio_pci", "virtio_blk", "ext4", "tpm_crb", "ecb", "xts", "aesni_intel", "dm_crypt", "dm_verity"},
	}
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
$b grep -q stay-up /proc/cmdline && exec $b sleep 1000
$b poweroff -f
`

// newMachine makes a PC as the factory delivers it.
func newMachine(t *testing.T) *machine {
	t.Helper()
	return newMachineOf(t, pc(t))
}

// newMachineOf makes a machine of another kind.
func newMachineOf(t *testing.T, b board) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), board: b}
	m.disk, m.tpm = filepath.Join(m.dir, "disk.img"), filepath.Join(m.dir, "tpm")
	tree := filepath.Join(m.dir, "tree")
	for _, dir := range []string{"bin", "dev", "etc", "proc", "run", "sbin", "sys", "tmp", "usr/lib"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rig.Run(t, "cp", b.busybox, filepath.Join(tree, "bin/busybox"))
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
	log, _ = m.run(t, func(string) bool { return false })
	return log
}

// run starts the machine, and waits until it switches itself off, or until far reports of what
// its console says that it has come far enough: then the power goes, of the TPM first, or that
// would see its machine go.
func (m *machine) run(t *testing.T, far func(log string) bool) (log string, cut bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	began := time.Now()
	cmd, console := m.start(ctx, t)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !far(console.String()) {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("qemu: %v\n%s", err, console)
			}
			t.Logf("booted and switched off in %s", time.Since(began).Round(100*time.Millisecond))
			return console.String(), false
		case <-time.After(5 * time.Millisecond):
		}
	}
	if m.cutTPM != nil {
		m.cutTPM()
	}
	_ = cmd.Process.Kill()
	<-ended
	return console.String(), true
}

// start starts the machine with its TPM, which goes with it.
func (m *machine) start(ctx context.Context, t *testing.T) (*exec.Cmd, *screen) {
	t.Helper()
	args := slices.Concat(m.board.options, m.drive(), m.options)
	if m.tpm != "" {
		var socket string
		socket, m.cutTPM = startTPM(ctx, t, m.tpm)
		args = append(args, "-chardev", "socket,id=c,path="+socket, "-tpmdev", "emulator,id=t,chardev=c", "-device", m.board.tpm+",tpmdev=t")
	}
	if m.initrd != "" {
		args = append(args, "-kernel", filepath.Join(m.root, "boot/vmlinuz-"+m.version), "-initrd", m.initrd,
			"-append", "console="+m.console+" "+consoleOptions+" rootfstype=ext4 rootflags=noload "+m.cmdline)
	}
	console := &screen{}
	cmd := exec.CommandContext(ctx, m.qemu, args...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, console
}

// screen has what a machine wrote to its console, and can be read meanwhile.
type screen struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

// drive returns the options for the disk.
func (m *machine) drive() []string {
	if m.log == "" {
		return []string{"-drive", "file=" + m.disk + ",if=virtio,format=raw"}
	}
	return []string{
		"-blockdev", "driver=file,node-name=disk,filename=" + m.disk, "-blockdev", "driver=file,node-name=log,filename=" + m.log,
		"-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512,log-super-update-interval=1",
		"-device", "virtio-blk-pci,drive=logged",
	}
}

// startTPM starts a TPM for one boot and returns its control socket. It ends when qemu
// closes that, with the test, or when its power is cut.
func startTPM(ctx context.Context, t *testing.T, state string) (socket string, cut func()) {
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
	cut = func() { _ = cmd.Process.Kill(); <-ended }
	t.Cleanup(cut)
	for range 500 {
		if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil {
			return socket, cut
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not start")
	return "", nil
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
