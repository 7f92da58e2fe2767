package host

import (
	"context"
	"path/filepath"
	"time"
)

// AwaitTPM2 waits until a TPM 2.0 that the firmware announces is there, for patience at
// most; without such an announcement there is nothing to wait for. A driver that is a
// module may come later than the disk.
func AwaitTPM2(ctx context.Context, patience time.Duration) { machine("/").awaitTPM2(ctx, patience) }

func (m machine) awaitTPM2(ctx context.Context, patience time.Duration) {
	for end := time.Now().Add(patience); !m.tpm2() && m.announcesTPM2() && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollPause):
		}
	}
}

// announcesTPM2 reports whether the firmware says that there is a TPM: ACPI has a table
// of that name, a device tree a node (Devicetree Specification, section 2.2.2).
func (m machine) announcesTPM2() bool {
	if m.exists("/sys/firmware/acpi/tables/TPM2") {
		return true
	}
	pattern := m.path("/sys/firmware/devicetree/base")
	for range 5 { // deep enough for an SPI bus behind two others
		if nodes, err := filepath.Glob(filepath.Join(pattern, "tpm*")); err == nil && len(nodes) > 0 {
			return true
		}
		pattern = filepath.Join(pattern, "*")
	}
	return false
}

// tpm2 reports whether the kernel has a TPM 2.0. Only those have a resource manager;
// where that is not built in, the TPM tells its version, and a kernel too old to
// say so has the benefit of the doubt.
func (m machine) tpm2() bool {
	if m.exists("/dev/tpmrm0") {
		return true
	}
	if version := m.line("/sys/class/tpm/tpm0/tpm_version_major"); version != "" {
		return version == "2"
	}
	return m.exists("/dev/tpm0") || m.exists("/sys/class/tpm/tpm0")
}
