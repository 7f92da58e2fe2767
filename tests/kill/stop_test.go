package kill

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpart/sealpart/tests/rig"
	"golang.org/x/sys/unix"
)

// settle is how long a run is given to come to where it waits.
func settle() { time.Sleep(2 * time.Second) }

// stopped starts sealpart, sends it signals one after the other, and returns its exit code
// and what it said.
func stopped(t *testing.T, signals []syscall.Signal, args ...string) (code int, said string) {
	t.Helper()
	return stoppedCommand(t, signals, rig.Sealpart(t, args...), settle)
}

// stoppedCommand is stopped for a command, which waits once ready has returned.
func stoppedCommand(t *testing.T, signals []syscall.Signal, cmd *exec.Cmd, ready func()) (code int, said string) {
	t.Helper()
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready()
	asked := time.Now()
	for _, s := range signals {
		if err := cmd.Process.Signal(s); err != nil {
			t.Errorf("%v has ended already: %v\n%s", cmd.Args, cmd.Wait(), out)
			return cmd.ProcessState.ExitCode(), out.String()
		}
		time.Sleep(50 * time.Millisecond) // or two may come in the order of their numbers
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // what it ended with is looked at by the caller
	if took := time.Since(asked); took > 4*time.Second {
		t.Errorf("%v: it took %s to stop", cmd.Args, took)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// checkInterrupted wants the end of a run that a signal stopped before it wrote.
func checkInterrupted(t *testing.T, what string, s syscall.Signal, code int, said string) {
	t.Helper()
	if code != 3 || !strings.Contains(said, "sealpart: error: interrupted") || !strings.Contains(said, "stopped by "+unix.SignalName(s)) ||
		!strings.Contains(said, "sealpart: hint: nothing ") || strings.Contains(said, "goroutine") {
		t.Errorf("%s, %s: exit code %d\n%s", what, s, code, said)
	}
}

// forged makes an image with a volume whose keyslot, or whose digest, takes hours.
func forged(t *testing.T, dir, what, key string) string {
	t.Helper()
	const forever = 1 << 29 // the most that is tried
	image, volume := rig.File(t, dir, what+".img", ""), rig.File(t, dir, what+".luks", "")
	if err := errors.Join(os.Truncate(image, 34<<20), os.Truncate(volume, 32<<20)); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, "label: gpt\nstart=2048, size=65536\n", "sfdisk", "-q", image)
	rig.Run(t, "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", volume, key)
	content, err := os.ReadFile(volume)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 16 << 10} { // LUKS2 On-Disk Format, 2.2: two copies, each with its checksum
		header := content[at : at+16<<10]
		var meta map[string]any
		if err := json.Unmarshal(bytes.TrimRight(header[4096:], "\x00"), &meta); err != nil {
			t.Fatal(err)
		}
		one := meta[what].(map[string]any)["0"].(map[string]any)
		if kdf, ok := one["kdf"].(map[string]any); ok {
			one = kdf
		}
		one["iterations"] = forever
		text, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		clear(header[4096:])
		copy(header[4096:], text)
		clear(header[448:512])
		sum := sha256.Sum256(header)
		copy(header[448:], sum[:])
	}
	if err := os.WriteFile(volume, content, 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, "dd", "if="+volume, "of="+image, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	return image
}

// terminal returns a person's end of one (pty(7)).
func terminal(t *testing.T) *os.File {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	return person
}

// slaveOf returns the other end.
func slaveOf(t *testing.T, person *os.File) *os.File {
	t.Helper()
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return tty
}

func fifo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// definitions makes a folder with one definition, of a root to be encrypted under a key.
func definitions(t *testing.T, dir, name, key string) string {
	t.Helper()
	defs := filepath.Join(dir, name)
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, defs, "10-root.toml", "partition = { type = \"root\", weight = 0 }\nencryption = { existing = \"convert\", header_room = \"grow\", key = [{ "+key+" }] }\n")
	return defs
}

// silent is the address of a TPM that takes commands and answers none.
func silent(t *testing.T, network, address string) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// TestStoppedWhileWaiting: a signal ends the wait for whatever does not come, before anything
// is written.
func TestStoppedWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 48)
	before := rig.Sum(t, plain.Path, 90<<20)
	pipe := fifo(t, dir, "fifo")
	mute := fifo(t, dir, "mute") // whose other end is open, and says nothing
	other, err := os.OpenFile(mute, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	module := rig.File(t, dir, "module", "#!/bin/sh\nsetsid sleep 60 &\nsleep 60\n") // both keep the pipe
	if err := os.Chmod(module, 0o755); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(silent(t, "tcp", "127.0.0.1:0"), ":")
	sealed := definitions(t, dir, "sealed", `type = "tpm2", blank = "allow"`)
	guarded := definitions(t, dir, "guarded", fmt.Sprintf("type = \"command\", program = %q", module))
	for what, args := range map[string][]string{ // a "disk" in them is the run's own copy
		"a key file that is a FIFO":   {"apply", "--definitions", plain.Definitions, "--key-file", pipe, "disk"},
		"one whose other end is open": {"apply", "--definitions", plain.Definitions, "--key-file", mute, "disk"},
		"a key module":                {"apply", "--definitions", guarded, "disk"},
		"a TPM on a socket":           {"apply", "--definitions", sealed, "--tpm2-device", "swtpm:path=" + silent(t, "unix", filepath.Join(dir, "tpm")), "disk"},
		"a simulator":                 {"apply", "--definitions", sealed, "--tpm2-device", "mssim:host=" + host + ",port=" + port, "disk"},
		"a snapshot that is a FIFO":   {"plan", "--definitions", plain.Definitions, "--snapshot", pipe},
		"new keys that are in a FIFO": {"key", "add", "--definition", mute, "--key-file", plain.Key, "disk#1"},
		"a keyslot that costs much":   {"export", "--key-file", plain.Key, forged(t, dir, "keyslots", plain.Key) + "#1", filepath.Join(dir, "keyslots.out")},
		"a digest that costs much":    {"export", "--key-file", plain.Key, forged(t, dir, "digests", plain.Key) + "#1", filepath.Join(dir, "digests.out")},
		"a TPM on a character device": {"apply", "--definitions", sealed, "--tpm2-device", slaveOf(t, terminal(t)).Name(), "disk"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			disk := rig.Copy(t, plain.Path, filepath.Join(t.TempDir(), "disk")) // each locks its own
			for i, arg := range args {
				if after, ok := strings.CutPrefix(arg, "disk"); ok {
					args[i] = disk + after
				}
			}
			code, said := stopped(t, []syscall.Signal{syscall.SIGTERM}, args...)
			checkInterrupted(t, what, syscall.SIGTERM, code, said)
			if rig.Sum(t, disk, 90<<20) != before {
				t.Error("the disk was written to")
			}
		})
	}
}

// TestStoppedAtPrompt: a question at a terminal ends with a signal, be it Ctrl-C, and the
// terminal shows what is typed again, also where a second signal ends the program.
func TestStoppedAtPrompt(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 48)
	defs := definitions(t, dir, "asking", `type = "tpm2", blank = "allow", pin = "ask"`)
	device := "swtpm:path=" + silent(t, "unix", filepath.Join(dir, "tpm"))
	for _, signals := range [][]syscall.Signal{{syscall.SIGTERM}, {syscall.SIGHUP}, {syscall.SIGQUIT}, {syscall.SIGINT, syscall.SIGTERM}} {
		person := terminal(t)
		tty := slaveOf(t, person)
		cmd := rig.Sealpart(t, "apply", "--definitions", defs, "--tpm2-device", device, plain.Path)
		cmd.Stdin, cmd.SysProcAttr = tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
		code, said := stoppedCommand(t, signals, cmd, func() {
			asked := make([]byte, 100)
			n, err := person.Read(asked)
			if question := string(asked[:n]); err != nil || question != "new PIN: " || shows(t, tty) {
				t.Errorf("asked %q, %v; the terminal shows a PIN: %v", question, err, shows(t, tty))
			}
		})
		if len(signals) == 1 {
			checkInterrupted(t, "a prompt", signals[0], code, said)
		} else if code != 3 && code != 128+int(signals[1]) { // the second may come late
			t.Errorf("%v: exit code %d\n%s", signals, code, said)
		}
		if !shows(t, tty) {
			t.Errorf("%v: the terminal does not show what is typed", signals)
		}
	}
}

func shows(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// TestRefusedFIFOs: a FIFO where a file is wanted is refused, and nobody waits for its other
// end.
func TestRefusedFIFOs(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 48)
	pipe := fifo(t, dir, "fifo")
	detached := definitions(t, dir, "detached", `type = "file"`)
	text := strings.Replace(fileText(t, detached+"/10-root.toml"), "grow", "detached:"+pipe, 1)
	rig.File(t, detached, "10-root.toml", text)
	piped := filepath.Join(dir, "piped")
	if err := os.Mkdir(piped, 0o755); err != nil {
		t.Fatal(err)
	}
	fifo(t, piped, "10-root.toml")
	for want, args := range map[string][]string{
		"fifo is no regular file":            {"apply", "--definitions", detached, "--key-file", plain.Key, plain.Path},
		"fifo: it is a FIFO, and not a file": {"header", "restore", plain.Path + "#1", pipe},
		"10-root.toml: not a regular file":   {"apply", "--definitions", piped, "--key-file", plain.Key, plain.Path},
		"fifo is a FIFO, not an image file":  {"inspect", pipe},
	} {
		cmd := rig.Sealpart(t, args...)
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		out, _ := cmd.CombinedOutput() // what it ended with is looked at here
		timer.Stop()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%v: exit code %d, not %q\n%s", args, code, want, out)
		}
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSecondSignal ends a run that waits for a TPM which never answers.
func TestSecondSignal(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 48)
	defs := definitions(t, dir, "sealed", `type = "tpm2", pcrs = [7]`)
	device := "swtpm:path=" + silent(t, "unix", filepath.Join(dir, "tpm"))
	code, said := stopped(t, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, "apply", "--definitions", defs, "--tpm2-device", device, plain.Path)
	if code != 128+int(syscall.SIGTERM) || strings.Contains(said, "goroutine") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}
