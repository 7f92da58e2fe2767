package host

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/internal/testenv"
)

func TestSecureBoot(t *testing.T) {
	const on, off = "\x06\x00\x00\x00\x01", "\x06\x00\x00\x00\x00"
	for _, c := range []struct {
		secureBoot, setupMode string
		want                  SecureBoot
	}{
		{"", "", SecureBootNone}, {off, off, SecureBootOff}, {off, "", SecureBootOff}, {on, off, SecureBootOn},
		{on, "", SecureBootOn}, {off, on, SecureBootSetup}, {on, on, SecureBootSetup}, {"\x06\x00", "", SecureBootNone},
	} {
		files := map[string]string{"/sys/firmware/efi/efivars/other": ""}
		for name, content := range map[string]string{"SecureBoot": c.secureBoot, "SetupMode": c.setupMode} {
			if content != "" {
				files["/sys/firmware/efi/efivars/"+name+"-"+globalVendor] = content
			}
		}
		if got := fake(t, files).secureBoot(); got != c.want {
			t.Errorf("SecureBoot %q, SetupMode %q: %q", c.secureBoot, c.setupMode, got)
		}
	}
}

func TestFirmware(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  []string
	}{
		{nil, nil},
		{[]string{"/sys/class/dmi/id/sys_vendor"}, []string{"bios"}},
		{[]string{"/sys/class/dmi/id/sys_vendor", "/sys/firmware/efi/x"}, []string{"uefi"}},
		{[]string{"/sys/firmware/efi/x", "/sys/firmware/devicetree/base/x"}, []string{"uefi", "device-tree"}},
	} {
		files := map[string]string{}
		for _, name := range c.files {
			files[name] = ""
		}
		if got := fake(t, files).firmware(); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q", c.files, got)
		}
	}
}

func TestVirtualization(t *testing.T) {
	const clocks = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
	for _, c := range []struct {
		files         map[string]string
		vm, container string
	}{
		{nil, "", ""},
		{map[string]string{"/proc/cpuinfo": "flags\t\t: fpu sse2\n"}, "", ""},
		{map[string]string{"/proc/cpuinfo": "flags\t\t: fpu hypervisor sse2\n"}, "vm-other", ""},
		{map[string]string{"/proc/cpuinfo": "vendor_id\t: User Mode Linux\n"}, "uml", ""},
		{map[string]string{"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, "qemu", ""},
		{map[string]string{"/sys/class/dmi/id/sys_vendor": "QEMU\n", clocks: "tsc kvm-clock\n"}, "kvm", ""},
		{map[string]string{"/sys/class/dmi/id/sys_vendor": "innotek GmbH\n"}, "oracle", ""},
		{map[string]string{"/sys/hypervisor/type": "xen\n"}, "xen", ""},
		{map[string]string{clocks: "hyperv_clocksource_tsc_page\n"}, "microsoft", ""},
		{map[string]string{"/run/systemd/container": "systemd-nspawn\n"}, "", "systemd-nspawn"},
		{map[string]string{"/.dockerenv": ""}, "", "docker"},
		{map[string]string{"/proc/sys/kernel/osrelease": "5.15-microsoft-standard\n"}, "", "wsl"},
	} {
		m := fake(t, c.files)
		if m.vm() != c.vm || m.container() != c.container {
			t.Errorf("%v: vm %q, container %q", c.files, m.vm(), m.container())
		}
	}
}

// TestVirtualizationHere: systemd says the same of the machine of this test. It also asks
// the processor, so that where only that has a name for the monitor, which files do not
// tell, all to compare is whether there is one.
func TestVirtualizationHere(t *testing.T) {
	program := testenv.Need(t, "systemd-detect-virt")
	here := machine("/")
	for flag, got := range map[string]string{"--vm": here.vm(), "--container": here.container()} {
		out, _ := exec.Command(program, flag).Output() // fails where it says "none"
		want := strings.TrimSpace(string(out))
		if flag == "--vm" && here.dmiName() == "" && want != "none" && got != "" {
			continue
		}
		if got != want && (got != "" || want != "none") {
			t.Errorf("%s: %q, systemd says %q", flag, got, want)
		}
	}
}

func TestFirstBoot(t *testing.T) {
	yes, no := true, false
	id := strings.Repeat("a", 32) + "\n"
	for _, c := range []struct {
		files map[string]string
		want  *bool
	}{
		{nil, &yes},
		{map[string]string{"/etc/machine-id": "uninitialized\n"}, &yes},
		{map[string]string{"/etc/machine-id": id}, &no},
		{map[string]string{"/etc/machine-id": id, "/run/systemd/first-boot": ""}, &yes},
		{map[string]string{"/etc/machine-id": id, "/etc/initrd-release": ""}, nil},
		{map[string]string{"/etc/initrd-release": "", "/proc/cmdline": "systemd.condition_first_boot=yes"}, &yes},
		{map[string]string{"/etc/initrd-release": "", "/proc/cmdline": "systemd.condition_first_boot=no"}, &no},
	} {
		m := fake(t, c.files)
		if diff := cmp.Diff(c.want, m.firstBoot(string(m))); diff != "" {
			t.Errorf("%v: %s", c.files, diff)
		}
	}
	// Under another root that root's machine id tells, also in an initramfs.
	m, root := fake(t, map[string]string{"/etc/initrd-release": ""}), fake(t, map[string]string{"/etc/machine-id": id})
	if got := m.firstBoot(string(root)); got == nil || *got {
		t.Errorf("under another root: %v", got)
	}
}

func TestAnnouncedTPM(t *testing.T) {
	for name, want := range map[string]bool{
		"/sys/firmware/acpi/tables/TPM2": true, "/sys/firmware/acpi/tables/APIC": false,
		"/sys/firmware/devicetree/base/soc/spi@1/tpm@0/reg": true, "/sys/firmware/devicetree/base/soc/uart/reg": false,
	} {
		if got := fake(t, map[string]string{name: ""}).announcesTPM2(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
