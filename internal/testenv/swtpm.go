package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// StartSWTPM starts a fresh TPM 2.0 emulator for the time of the test and returns
// its name as tpm2-tss and sealpart write it: swtpm:host=127.0.0.1,port=N. As on a PC,
// something has been measured into PCRs 0 to 7.
func StartSWTPM(t testing.TB) (device string) {
	t.Helper()
	device, _ = StartSWTPMPersistent(t, t.TempDir())
	return device
}

// StartBlankSWTPM is StartSWTPM with a TPM into which nothing is measured: a machine without
// measured boot.
func StartBlankSWTPM(t testing.TB) (device string) {
	t.Helper()
	device, _ = startSWTPM(t, t.TempDir(), freePorts)
	return device
}

// StartSWTPMPersistent starts an emulator that keeps its state in dir, which must
// exist. After stop, which is a power cut, it can be started again there, as the same TPM
// after a reboot: sealed objects stay valid, PCRs begin anew and become what they were.
// Stopping twice is allowed; the end of the test stops it too.
func StartSWTPMPersistent(t testing.TB, dir string) (device string, stop func()) {
	t.Helper()
	device, stop = startSWTPM(t, dir, freePorts)
	measured(t, device)
	return device, stop
}

// StartSWTPMDefaultPort is StartSWTPM on port 2321, for tools that cannot be told
// another. It waits its turn for half a minute; where the port stays in use, the
// test is skipped or fails, as with Need.
func StartSWTPMDefaultPort(t testing.TB) (device string) {
	t.Helper()
	const port = 2321
	for range 300 {
		if portsFree(port) {
			device, _ = startSWTPM(t, t.TempDir(), func() (int, error) { return port, nil })
			measured(t, device)
			return device
		}
		time.Sleep(100 * time.Millisecond)
	}
	unmet(t, fmt.Sprintf("ports %d and %d stay in use", port, port+1))
	return ""
}

// startSWTPM tries several ports: between our finding one free and swtpm's taking
// it, another process may have it.
func startSWTPM(t testing.TB, dir string, choose func() (int, error)) (string, func()) {
	t.Helper()
	program := Need(t, "swtpm")
	state, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	var failure error
	for range 10 {
		port, err := choose()
		if err != nil {
			t.Fatal(err)
		}
		stop, err := runSWTPM(program, state, filepath.Join(t.TempDir(), "pid"), port)
		if err == nil {
			t.Cleanup(stop)
			return fmt.Sprintf("swtpm:host=127.0.0.1,port=%d", port), stop
		}
		failure = err
	}
	t.Fatalf("start swtpm with its state in %s: %v", state, failure)
	return "", nil
}

// runSWTPM starts the emulator and waits until it has its ports: it writes the pid
// file only then, while a connection might reach whoever was faster. The control
// channel is where libtss2-tcti-swtpm looks for it, on the next port.
func runSWTPM(program, state, pidFile string, port int) (stop func(), err error) {
	cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--server", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port),
		"--ctrl", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port+1),
		"--flags", "not-need-init,startup-clear", "--pid", "file="+pidFile)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() { _ = cmd.Process.Kill(); <-ended }
	for range 500 {
		select {
		case <-ended:
			return nil, fmt.Errorf("swtpm ended at once: %s", cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		if _, err := os.Stat(pidFile); err == nil {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("swtpm does not take port %d", port)
}

// freePorts finds two adjacent ports on which nobody listens, and returns the first.
func freePorts() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if portsFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no two adjacent free ports")
}

func portsFree(port int) bool {
	for _, p := range []int{port, port + 1} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
