package tpm2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

var errStop = errors.New("asked to stop")

// atOnce is the longest that something may take once it is to stop.
const atOnce = 3 * time.Second

// TestPINEnds: what a token makes a PIN cost ends with the context.
func TestPINEnds(t *testing.T) {
	tok := Token{PIN: true, Salt: make([]byte, saltSize), Hardening: Hardening{Memory: 64 << 20, Iterations: maxHardIterations, Lanes: 1}}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errStop)
	defer cancel()
	began := time.Now()
	_, err := tok.pinKey(ctx, []byte("1234"))
	if took := time.Since(began); !errors.Is(err, errStop) || took > atOnce {
		t.Errorf("%v after %s", err, took)
	}
}

// silentSocket is a TPM that takes every command and answers none.
func silentSocket(t *testing.T, network, address string) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// silentDevice is a character device that takes what is written and gives nothing to read.
func silentDevice(t *testing.T) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", n)
}

// TestSilentTPM: one that does not answer is waited for no longer than the context lasts.
func TestSilentTPM(t *testing.T) {
	host, port, err := net.SplitHostPort(silentSocket(t, "tcp", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{
		"swtpm:path=" + silentSocket(t, "unix", filepath.Join(t.TempDir(), "tpm")),
		"swtpm:host=" + host + ",port=" + port, "mssim:host=" + host + ",port=" + port, silentDevice(t),
	} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errStop)
		defer cancel()
		began := time.Now()
		_, err := Open(ctx, device)
		if took := time.Since(began); !errors.Is(err, errStop) || took > atOnce {
			t.Errorf("%s: %v after %s", device, err, took)
		}
	}
}

// TestStoppedTidies: where the work is stopped between two commands nothing is left in the
// TPM, and a power cut after it costs no try.
func TestStoppedTidies(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tok, err := open(t, device).Seal(newSecret(t), Binding{PCRs: []int{7}, PIN: []byte("1234")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	tpm, err := Open(ctx, device)
	if err != nil {
		t.Fatal(err)
	}
	told := false
	tpm.link.channel = &tap{channel: tpm.link.channel, before: func(command []byte) {
		told = told || commandCode(command) == tpm2.TPMCCShutdown
		if commandCode(command) == tpm2.TPMCCUnseal {
			stop(errStop)
		}
	}, after: func(_, response []byte) []byte { return response }}
	if _, err := tpm.Unseal(tok, []byte("4321")); !errors.Is(err, ErrPIN) {
		t.Errorf("the answer that was under way: %v", err)
	}
	if _, err := tpm.Unseal(tok, []byte("1234")); !errors.Is(err, errStop) {
		t.Errorf("the next: %v", err)
	}
	if err := tpm.Close(); err != nil || !told {
		t.Errorf("close: %v; TPM2_Shutdown was sent: %v", err, told)
	}
	if handles := append(run(t, device, "tpm2_getcap", "handles-transient"), run(t, device, "tpm2_getcap", "handles-loaded-session")...); len(handles) > 0 {
		t.Errorf("left in the TPM: %q", handles)
	}
}
