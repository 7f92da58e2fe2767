package host

import (
	"os"
	"strings"
)

// The virtual machine and the container that this is, in systemd-detect-virt's words.
// Files tell; the processor's own answer cannot be asked for without assembly.

// dmiNames maps beginnings of what a virtual machine's DMI says to its name.
var dmiNames = []struct{ begins, name string }{
	{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Amazon EC2", "amazon"}, {"QEMU", "qemu"},
	{"VMware", "vmware"}, {"VMW", "vmware"}, {"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"}, {"Xen", "xen"},
	{"Bochs", "bochs"}, {"Parallels", "parallels"}, {"BHYVE", "bhyve"}, {"Hyper-V", "microsoft"},
	{"Apple Virtualization", "apple"}, {"Google Compute Engine", "google"},
}

// vm returns the name of the virtual machine monitor, "" on real hardware.
func (m machine) vm() string {
	if m.line("/sys/hypervisor/type") == "xen" {
		return "xen"
	}
	clocks := m.line("/sys/devices/system/clocksource/clocksource0/available_clocksource")
	found := m.dmiName()
	switch {
	case (found == "" || found == "qemu") && strings.Contains(clocks, "kvm-clock"):
		return "kvm"
	case found != "":
		return found
	case strings.Contains(clocks, "hyperv_clocksource"):
		return "microsoft"
	case strings.Contains(m.line("/sys/firmware/devicetree/base/hypervisor/compatible"), "linux,kvm"):
		return "kvm"
	case m.exists("/sys/firmware/devicetree/base/fw-cfg"):
		return "qemu"
	}
	info, err := os.ReadFile(m.path("/proc/cpuinfo"))
	switch {
	case err != nil:
		return ""
	case strings.Contains(string(info), "User Mode Linux"):
		return "uml"
	}
	for line := range strings.Lines(string(info)) {
		if strings.HasPrefix(line, "flags") && strings.Contains(line, " hypervisor") {
			return "vm-other"
		}
	}
	return ""
}

func (m machine) dmiName() string {
	for _, file := range []string{"product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"} {
		text := m.line("/sys/class/dmi/id/" + file)
		for _, known := range dmiNames {
			if strings.HasPrefix(text, known.begins) {
				return known.name
			}
		}
	}
	return ""
}

// container returns the name of the container manager, "" outside of containers.
func (m machine) container() string {
	name := m.line("/run/systemd/container")
	switch {
	case name != "":
		return name
	case m.exists("/run/.containerenv"):
		return "podman"
	case m.exists("/.dockerenv"):
		return "docker"
	case strings.Contains(m.line("/proc/sys/kernel/osrelease"), "icrosoft"):
		return "wsl"
	}
	return ""
}
