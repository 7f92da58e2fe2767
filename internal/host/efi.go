package host

import (
	"encoding/binary"
	"os"
	"unicode/utf16"
)

// loaderVendor is the vendor of the Boot Loader Interface's variables.
const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// systemdVendor is the vendor of systemd's own variables.
const systemdVendor = "8cf2644b-4b0b-428f-9387-6d876050dc67"

// efiVariable returns the value of an EFI variable, nil where there is none: the four
// bytes of its attributes are left out (efivarfs).
func (m machine) efiVariable(name string) []byte {
	content, err := os.ReadFile(m.path("/sys/firmware/efi/efivars/" + name))
	if err != nil || len(content) < 4 {
		return nil
	}
	return content[4:]
}

// efiText returns an EFI variable that is UTF-16 text.
func (m machine) efiText(name string) string {
	value := m.efiVariable(name)
	var units []uint16
	for ; len(value) >= 2; value = value[2:] {
		if unit := binary.LittleEndian.Uint16(value); unit != 0 {
			units = append(units, unit)
		}
	}
	return string(utf16.Decode(units))
}

// SecureBoot says what UEFI's Secure Boot is doing.
type SecureBoot string

// The states of Secure Boot (UEFI Specification, section 32.3).
const (
	SecureBootNone  SecureBoot = ""           // no UEFI, or one without it
	SecureBootOff   SecureBoot = "off"        // unsigned programs start too
	SecureBootSetup SecureBoot = "setup mode" // whoever comes first can enroll keys
	SecureBootOn    SecureBoot = "on"
)

// String says it for people, behind "Secure Boot is".
func (s SecureBoot) String() string {
	switch s {
	case SecureBootNone:
		return "not there"
	case SecureBootSetup:
		return "in setup mode"
	}
	return string(s)
}

// globalVendor is the vendor of UEFI's own variables.
const globalVendor = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

func (m machine) secureBoot() SecureBoot {
	flag := func(name string) bool {
		value := m.efiVariable(name + "-" + globalVendor)
		return len(value) == 1 && value[0] == 1
	}
	switch {
	case m.efiVariable("SecureBoot-"+globalVendor) == nil:
		return SecureBootNone
	case flag("SetupMode"):
		return SecureBootSetup
	case flag("SecureBoot"):
		return SecureBootOn
	}
	return SecureBootOff
}

// firmware lists what kinds of firmware brought this machine up, in the words of
// ConditionFirmware in systemd.unit(5), and "bios".
func (m machine) firmware() []string {
	var kinds []string
	if m.exists("/sys/firmware/efi") {
		kinds = append(kinds, "uefi")
	}
	if m.exists("/sys/firmware/devicetree/base") {
		kinds = append(kinds, "device-tree")
	}
	if len(kinds) == 0 && m.exists("/sys/class/dmi/id") {
		kinds = append(kinds, "bios")
	}
	return kinds
}
