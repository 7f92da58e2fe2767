// Package host describes the machine that sealpart runs on, as values, and
// gathers them. The planner reads the values only.
package host

// Facts is what a plan may depend on beside the disk and the definitions.
type Facts struct {
	Architecture  string            `json:"architecture"` // systemd's name: "x86-64", "arm64", …
	MachineID     string            `json:"machine_id"`   // 32 hex digits, "" where there is none
	BootID        string            `json:"boot_id"`
	Hostname      string            `json:"hostname"`
	KernelRelease string            `json:"kernel_release"`
	OSRelease     map[string]string `json:"os_release"` // ID, VERSION_ID, IMAGE_ID, …
	TPM2          bool              `json:"tpm2"`       // a TPM 2.0 can be reached
	// Tools maps the programs found on this machine to their paths: "mkfs.ext4", …
	Tools map[string]string `json:"tools"`
}
