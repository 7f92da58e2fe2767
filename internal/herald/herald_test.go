package herald

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
)

// TestNotify: what a service manager hears.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000") // 40 ms
	h, err := Start("")
	if err != nil {
		t.Fatal(err)
	}
	h.Say(Status{Text: "half\nway", Phase: "reencrypt", Percent: 50})
	heard := map[string]bool{}
	buffer := make([]byte, 4096)
	for range 4 {
		_ = socket.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(buffer[:n])) {
			heard[strings.TrimSpace(line)] = true
		}
	}
	for _, line := range []string{"STATUS=half way", "X_SYSTEMD_PHASE=reencrypt", "X_SYSTEMD_PHASE_PROGRESS=50", "EXTEND_TIMEOUT_USEC=120000000", "WATCHDOG=1"} {
		if !heard[line] {
			t.Errorf("the service manager did not hear %q", line)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestSplash: plymouthd itself takes our messages, and takes them away.
func TestSplash(t *testing.T) {
	program := testenv.Need(t, "plymouthd")
	if request(showMessage, "nobody") {
		t.Fatal("a plymouthd runs here already")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	cmd := exec.Command(program, "--no-daemon", "--mode=boot", "--tty=/dev/null", "--debug", "--debug-file="+log, "--pid-file="+filepath.Join(dir, "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var s splash
	for range 100 {
		if s.show("encrypt partition 2: 10%"); s.shown != "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.show("encrypt partition 2: 20%")
	s.show(strings.Repeat("long ", 100))
	s.clear()
	if out, err := exec.Command(testenv.Need(t, "plymouth"), "quit").CombinedOutput(); err != nil { // it writes its log at the end
		t.Fatalf("plymouth quit: %v\n%s", err, out)
	}
	_ = cmd.Wait()
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for what, count := range map[string]int{"got show message request": 3, "got hide message request": 3, "message encrypt partition 2: 20%": 1, "unknown": 0} {
		if got := bytes.Count(said, []byte(what)); got < count || count == 0 && got > 0 {
			t.Errorf("plymouthd says %q %d times, want %d:\n%s", what, got, count, said)
		}
	}
}

// TestWatchdogRefused: what is no watchdog is not taken for one. A real one bites in
// tests/boot.
func TestWatchdogRefused(t *testing.T) {
	if _, err := Start("/dev/null"); !errors.Is(err, errNotWatchdog) {
		t.Errorf("error %v", err)
	}
	if _, err := Start("/nonexistent/watchdog"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
