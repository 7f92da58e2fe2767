package host

import "strings"

// Facts is what a plan may depend on beside the disk and the definitions.
type Facts struct {
	Architecture  string            `json:"architecture"` // systemd's name: "x86-64", "arm64", …
	MachineID     string            `json:"machine_id"`   // 32 hex digits, "" where there is none
	BootID        string            `json:"boot_id"`
	Hostname      string            `json:"hostname"`
	KernelRelease string            `json:"kernel_release"`
	OSRelease     map[string]string `json:"os_release"` // ID, VERSION_ID, IMAGE_ID, …
	TPM2          bool              `json:"tpm2"`       // a TPM 2.0 can be reached
	SecureBoot    SecureBoot        `json:"secure_boot"`
	Firmware      []string          `json:"firmware"`  // "uefi", "device-tree", "bios"
	VM            string            `json:"vm"`        // virtual machine monitor, "" on hardware
	Container     string            `json:"container"` // container manager, "" outside
	CommandLine   CommandLine       `json:"-"`         // of the kernel; it may hold what is not to be shown
	// FirstBoot reports whether the operating system has never run; nil where that
	// cannot be told, as in an initramfs before the root file system is mounted.
	FirstBoot *bool `json:"first_boot"`
	// Paths says which of the paths are there that conditions ask for.
	Paths map[string]bool `json:"-"`
	// Mounts lists the file systems that this process may mount here, as far as a plan
	// asks for it; nil where that is not known.
	Mounts []string `json:"mounts"`
	// Tools maps the programs found on this machine to their paths: "mkfs.ext4", …
	Tools map[string]string `json:"tools"`
	// Opener is what opens volumes later.
	Opener Opener `json:"opener"`
}

// Specifiers returns what the letters of definitions stand for (systemd.unit,
// section Specifiers): 'a' the architecture, 'm' the machine id, and so on. A letter
// is missing where this machine does not have the thing at all; a field that
// os-release leaves out is there and empty, as in systemd.
func (f Facts) Specifiers() map[rune]string {
	short, _, _ := strings.Cut(f.Hostname, ".")
	values := map[rune]string{
		'a': f.Architecture, 'b': f.BootID, 'H': f.Hostname, 'l': short,
		'm': f.MachineID, 'v': f.KernelRelease,
	}
	for letter, value := range values {
		if value == "" {
			delete(values, letter)
		}
	}
	if f.OSRelease != nil {
		for letter, field := range map[rune]string{
			'A': "IMAGE_VERSION", 'B': "BUILD_ID", 'M': "IMAGE_ID",
			'o': "ID", 'w': "VERSION_ID", 'W': "VARIANT_ID",
		} {
			values[letter] = f.OSRelease[field]
		}
	}
	return values
}
