package tpm2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/sealpart/sealpart/internal/resolve"
)

// autoDevices are tried in this order: the resource manager first, which keeps
// our objects apart from those of other programs.
var autoDevices = []string{"/dev/tpmrm0", "/dev/tpm0"}

// address is where a TPM answers: network is "device", "unix", "tcp" or "mssim"; the last is
// TCP too, with another protocol.
type address struct{ network, target string }

func (a address) String() string { return a.network + " " + a.target }

// parseDevice understands the forms that Open documents.
func parseDevice(device string) ([]address, error) {
	driver, settings, found := strings.Cut(device, ":")
	switch {
	case device == "auto":
		var all []address
		for _, path := range autoDevices {
			all = append(all, address{"device", path})
		}
		return all, nil
	case strings.HasPrefix(device, "/"):
		return []address{{"device", device}}, nil
	case driver == "device" && strings.HasPrefix(settings, "/"):
		return []address{{"device", settings}}, nil
	case (driver == "swtpm" || driver == netMSSim) && found:
		a, err := parseEmulator(settings)
		if err == nil && driver == netMSSim {
			a, err = simulator(a)
		}
		if err != nil {
			return nil, fmt.Errorf("TPM device %q: %w", device, err)
		}
		return []address{a}, nil
	}
	return nil, fmt.Errorf("TPM device %q: want auto, /dev/…, device:/dev/…, swtpm:path=…, swtpm:host=…,port=… or mssim:host=…,port=…", device)
}

// simulator is the address of one that speaks the protocol of the reference implementation.
func simulator(a address) (address, error) {
	if a.network != "tcp" {
		return a, errors.New("a simulator has no path")
	}
	return address{netMSSim, a.target}, nil
}

// parseEmulator reads the settings of tpm2-tss's swtpm and mssim drivers; their defaults are
// ours.
func parseEmulator(settings string) (address, error) {
	host, port, path := "127.0.0.1", "2321", ""
	if settings == "" {
		return address{"tcp", net.JoinHostPort(host, port)}, nil
	}
	for setting := range strings.SplitSeq(settings, ",") {
		key, value, _ := strings.Cut(setting, "=")
		if value == "" {
			return address{}, fmt.Errorf("%q has no value", key)
		}
		switch key {
		case "host":
			host = value
		case "port":
			port = value
		case "path":
			path = value
		default:
			return address{}, fmt.Errorf("unknown setting %q (want path, host, port)", key)
		}
	}
	if path == "" {
		return address{"tcp", net.JoinHostPort(host, port)}, nil
	}
	if strings.Contains(settings, "host=") || strings.Contains(settings, "port=") {
		return address{}, errors.New("path and host exclude each other")
	}
	return address{"unix", path}, nil
}

// connect opens the first of the addresses at which a TPM is. Only absence moves
// on to the next: a TPM one may not open is not to be passed over in silence.
func connect(ctx context.Context, device string, addresses []address) (channel, error) {
	for _, a := range addresses {
		c, err := a.open(ctx)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, syscall.EBUSY) {
			return nil, fmt.Errorf("TPM at %s: %w: %w", a, ErrBusy, err)
		}
		if !absent(err) {
			return nil, fmt.Errorf("TPM at %s: %w", a, err)
		}
	}
	return nil, fmt.Errorf("TPM device %q: %w", device, ErrNoTPM)
}

func (a address) open(ctx context.Context) (channel, error) {
	if a.network == "device" {
		return openCharDevice(a.target)
	}
	// Connect once to learn whether somebody listens; each command connects anew.
	if a.network == netMSSim {
		return simulatorChannel(a.target).open(ctx)
	}
	if a.network == "unix" {
		if _, err := (resolve.Tree{Trusted: true}).Stat(a.target); err != nil {
			return nil, err
		}
	}
	conn, err := dial(ctx, a.network, a.target)
	if err != nil {
		return nil, err
	}
	return socketChannel(a), conn.Close()
}

func openCharDevice(path string) (channel, error) {
	tree := resolve.Tree{Trusted: true} // a TPM of somebody else's would be given the keys
	info, err := tree.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeCharDevice == 0 {
		return nil, errors.New("not a character device")
	}
	// Not os.OpenFile: that would make the descriptor non-blocking, and then the
	// kernel answers a read that comes before the TPM has finished with "nothing".
	file, err := tree.Open(path, syscall.O_RDWR)
	return deviceChannel{file}, err
}

// absent says that an error means "nothing is there" rather than "it is broken".
func absent(err error) bool {
	for _, e := range []error{fs.ErrNotExist, syscall.ENODEV, syscall.ENXIO, syscall.ECONNREFUSED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
