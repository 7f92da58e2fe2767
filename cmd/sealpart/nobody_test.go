package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// nobody is who has no rights: user and group 65534.
const nobody = 65534

// asNobody makes a directory of nobody's, with the program as people run it in it.
// Where the tests are not root's, nobody is whoever runs them.
func asNobody(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // made for its owner only
		t.Fatal(err)
	}
	testenv.Need(t, "go")
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/sealpart", program, 0o755); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	return dir
}

// built is the program, made once.
var built = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sealpart")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir+"/sealpart", ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(dir + "/sealpart")
})

// own gives a tree to nobody.
func own(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() == 0 {
		tool(t, "", "chown", "-R", fmt.Sprintf("%d:%d", nobody, nobody), dir)
	}
}

// command is one of nobody's, with 64 KiB of memory that it may lock.
func command(t *testing.T, dir, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-ec", "ulimit -l 64; "+script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + "/bin:" + dir + ":/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TMPDIR=" + dir, "HOME=" + dir}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}}
	}
	return cmd
}

// obey runs a script of nobody's, which has to succeed.
func obey(t *testing.T, dir, script string) {
	t.Helper()
	if out, err := command(t, dir, script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

const build = `./sealpart apply --definitions image-build --root build --empty=create --size=600M \
	--seed=750b6cd5-c4ae-4012-a15e-7be3c29e6a47 --key-file=home.key --progress=none disk.img`

// TestBuildAsNobody: examples/image-build by somebody without any rights, with as
// little memory to lock as systems gave before 2021.
func TestBuildAsNobody(t *testing.T) {
	testenv.Need(t, "mkfs.ext4")
	dir := asNobody(t)
	tool(t, "", "cp", "-r", "../../examples/image-build", dir)
	own(t, dir)
	obey(t, dir, `mkdir -p build/efi build/rootfs/etc; echo hello >build/efi/hello; echo demo >build/rootfs/etc/hostname
		printf "a key file" >home.key`)
	obey(t, dir, build)
	image := filepath.Join(dir, "disk.img")
	if out := tool(t, "", "sgdisk", "-v", image); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	part := `set -- $(sfdisk -J disk.img | jq -r ".partitiontable.partitions[$N-1] | \"\(.start) \(.size)\""); dd if=disk.img of=part bs=1M iflag=skip_bytes,count_bytes skip=$(($1*512)) count=$(($2*512)) conv=sparse status=none; `
	shell := func(n int, judge string) string {
		return tool(t, "", "sh", "-ec", fmt.Sprintf("cd %s; export PATH=$PATH:/usr/sbin:/sbin; N=%d; rm -f part; %s %s", dir, n, part, judge))
	}
	if out := shell(1, "mtype -i part ::hello"); out != "hello\n" {
		t.Errorf("the ESP holds %q", out)
	}
	if out := shell(2, "e2fsck -fn part >/dev/null 2>&1; debugfs -R 'cat /etc/hostname' part 2>/dev/null"); out != "demo\n" {
		t.Errorf("root holds %q", out)
	}
	shell(3, "cryptsetup open --test-passphrase --key-file home.key part")
}

// TestShrinkAsNobody: an ext4 without room behind it is shrunk and encrypted, which
// takes a program under supervision, while our own process allows no dumps of itself.
func TestShrinkAsNobody(t *testing.T) {
	dir := asNobody(t)
	root := makeRoot(t, 56<<20, "", "mkfs.ext4", "-q", "FILE")
	writeChunks(t, dir+"/disk.img", diskSize, chunksOf(makeDisk(t, root)))
	if err := os.CopyFS(dir, os.DirFS(workplace(t, strings.ReplaceAll(convert, "grow", "shrink")))); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	obey(t, dir, "./sealpart "+strings.Join(commandLine("apply"), " "))
	obey(t, dir, "./sealpart export --key-file=key 'disk.img#root' plain")
	tool(t, "", "e2fsck", "-fn", dir+"/plain")
}

// TestUnreadable: definitions and images that one may not read are named.
func TestUnreadable(t *testing.T) {
	dir := asNobody(t)
	for _, c := range []struct{ prepare, want string }{
		{"mkdir defs; : >disk.img; echo x >defs/10.toml; chmod 0 defs/10.toml", "sealpart: error: defs/10.toml: cannot be read: permission denied\n"},
		{"chmod 0 defs", "sealpart: error: defs: cannot list the directory: permission denied\n"},
		{"chmod 700 defs; chmod 600 defs/10.toml; : >defs/10.toml; chmod 0 disk.img", "sealpart: error: open disk.img: permission denied\n"},
	} {
		obey(t, dir, c.prepare)
		cmd := command(t, dir, "exec ./sealpart "+strings.Join(commandLine("plan"), " "))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || string(out) != c.want {
			t.Errorf("%s: %v\n%s", c.prepare, err, out)
		}
	}
}

// TestNoDumps: while it waits for a key, the program may not be looked into.
func TestNoDumps(t *testing.T) {
	dir := asNobody(t)
	root := makeRoot(t, 16<<20, "", "mkfs.ext4", "-q", "FILE")
	writeChunks(t, dir+"/disk.img", diskSize, chunksOf(makeDisk(t, root)))
	if err := os.CopyFS(dir, os.DirFS(workplace(t, convert))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(dir+"/key"), unix.Mkfifo(dir+"/key", 0o600)); err != nil {
		t.Fatal(err)
	}
	own(t, dir)
	cmd := command(t, dir, "exec ./sealpart "+strings.Join(commandLine("apply"), " "))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	key := openWhenRead(t, dir+"/key")
	defer key.Close()
	// What the kernel gives to root is what it lets nobody else see (proc(5)).
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; os.Getuid() == 0 && owner != 0 {
		t.Errorf("/proc/PID/environ belongs to %d: the process can be dumped\n%s", owner, &out)
	}
	if look := command(t, dir, fmt.Sprintf("cat /proc/%d/environ", cmd.Process.Pid)).Run(); look == nil {
		t.Error("another process of the user can look into it")
	}
}

// openWhenRead opens a FIFO for writing once somebody reads it.
func openWhenRead(t *testing.T, path string) *os.File {
	t.Helper()
	for range 200 {
		file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			return file
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nobody reads %s", path)
	return nil
}
