package boot

import (
	"flag"
	"testing"
)

var everyKind = flag.Bool("kinds", false, "boot every kind of initramfs where one stands for all otherwise")

// kind is a kind of initramfs, and how it is told what is expected here.
type kind struct {
	name    string
	initrd  func(t *testing.T, m *machine, definition string) string
	plain   string // command line for a root that is not encrypted
	byName  string // what names the root disk by an identifier of the root's, without its value
	form    string // of the TPM key that format "auto" takes
	stopped string // what the console says last where the boot stops
	unlock  func(m *machine) string
}

func kinds() []kind {
	mapped := func(*machine) string { return "root=/dev/mapper/root sealpart.device=/dev/vda" }
	return []kind{
		{
			name: "systemd", plain: "root=/dev/vda1", byName: "root=UUID=", form: "widest", stopped: "EMERGENCY", unlock: (*machine).unlock,
			initrd: func(t *testing.T, m *machine, definition string) string {
				m.patient(t)
				return systemdInitrd(t, m.dir, definition, systemdResume...)
			},
		},
		{
			name: "initramfs-tools", plain: "root=/dev/vda1 sealpart.device=/dev/vda", byName: "root=UUID=", form: "widest", stopped: "Leave this shell to try again", unlock: mapped,
			initrd: func(t *testing.T, m *machine, definition string) string { return m.initramfsToolsInitrd(t, definition) },
		},
		{
			name: "busybox", plain: "sealpart.device=/dev/vda", byName: "sealpart.device=UUID=", form: "newest", stopped: "switch off and on to try again",
			unlock: func(*machine) string { return "sealpart.device=/dev/vda" },
			initrd: func(t *testing.T, m *machine, definition string) string { return m.busyboxInitrd(t, definition) },
		},
	}
}

// eachKind boots the kinds of initramfs, or the first alone.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	needAll(t)
	for i, k := range kinds() {
		if i == 0 || *everyKind {
			t.Run(k.name, func(t *testing.T) { test(t, k) })
		}
	}
}
