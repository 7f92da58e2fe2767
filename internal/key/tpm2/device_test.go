package tpm2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sealpart/sealpart/internal/testenv"
)

func TestParseDevice(t *testing.T) {
	refused := map[string]string{
		"": "want auto, /dev/…", "tpm0": "want auto, /dev/…", "device": "want auto, /dev/…", "device:tpm0": "want auto, /dev/…", "mssim:path=/run/x": "a simulator has no path", "swtpm": "want auto, /dev/…",
		"swtpm:port": `"port" has no value`, "swtpm:port=": `"port" has no value`, "swtpm:speed=9": "unknown setting \"speed\" (want path, host, port)", "swtpm:path=/a,host=b": "path and host exclude each other",
	}
	for device, want := range refused {
		if got, err := parseDevice(device); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, not %q", device, got, err, want)
		}
	}
	for device, want := range map[string][]address{
		"auto":                   {{"device", "/dev/tpmrm0"}, {"device", "/dev/tpm0"}},
		"/dev/tpmrm1":            {{"device", "/dev/tpmrm1"}},
		"device:/dev/tpm0":       {{"device", "/dev/tpm0"}},
		"swtpm:":                 {{"tcp", "127.0.0.1:2321"}},
		"swtpm:host=::1":         {{"tcp", "[::1]:2321"}},
		"swtpm:host=h,port=9":    {{"tcp", "h:9"}},
		"swtpm:path=/run/x.sock": {{"unix", "/run/x.sock"}},
		"mssim:host=h":           {{"mssim", "h:2321"}},
	} {
		got, err := parseDevice(device)
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%q: %v, %v", device, got, err)
		}
	}
}

func TestOpenWithoutTPM(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	dir := t.TempDir()
	for _, device := range []string{filepath.Join(dir, "none"), "swtpm:path=" + dir + "/none", "swtpm:port=" + port} {
		if _, err := Open(t.Context(), device); !errors.Is(err, ErrNoTPM) {
			t.Errorf("%s: %v", device, err)
		}
	}
	if _, err := Open(t.Context(), dir); err == nil || errors.Is(err, ErrNoTPM) || !strings.Contains(err.Error(), "not a character device") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open(t.Context(), "/dev/null"); err == nil || errors.Is(err, ErrNoTPM) {
		t.Errorf("/dev/null: %v", err)
	}
}

// The road by a device node, on a pseudo-terminal that passes commands on to swtpm:
// like the kernel's driver it takes a command in one write and hands the response
// over in one read, for which one has to wait.
func TestDeviceNode(t *testing.T) {
	a, err := parseDevice(testenv.StartSWTPM(t))
	if err != nil {
		t.Fatal(err)
	}
	tpm := open(t, "device:"+terminalTPM(t, socketChannel(a[0])))
	secret := newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
}

func terminalTPM(t *testing.T, behind channel) (path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	raw := &unix.Termios{Cflag: unix.CS8 | unix.CREAD}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, raw); err != nil {
		t.Fatal(err)
	}
	go func() {
		command := make([]byte, maxResponse)
		for {
			n, err := master.Read(command)
			if err != nil {
				return // closed on either side
			}
			if response, err := behind.exchange(context.Background(), command[:n]); err == nil {
				_, _ = master.Write(response)
			}
		}
	}()
	return fmt.Sprintf("/dev/pts/%d", number)
}
