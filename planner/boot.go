package planner

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// attributeLegacyBoot marks the partition that a boot loader of a PC without UEFI, or of a
// board, takes its files from (UEFI 2.10, table 5-8).
const attributeLegacyBoot uint64 = 1 << 2

// neverEncrypted are partition types, beside those with a name of ours, that are read
// where nothing can be unlocked yet, or that are parts of something else.
var neverEncrypted = map[uuid.UUID]string{
	uuid.MustParse("21686148-6449-6e6f-744e-656564454649"): "a BIOS boot partition, which a boot loader reads",
	uuid.MustParse("9e1a2d38-c612-4316-aa26-8b49521e5a8b"): "a PowerPC PReP boot partition, which firmware reads",
	uuid.MustParse("426f6f74-0000-11aa-aa11-00306543ecac"): "an Apple boot partition, which firmware reads",
	uuid.MustParse("fe3a2a5d-4f32-41a7-b725-accc3285a309"): "a ChromeOS kernel, which firmware reads",
	uuid.MustParse("cab6e88e-abf3-4102-a07a-d4bb9be3c1d3"): "ChromeOS firmware",
	uuid.MustParse("83bd6b9d-7f41-11dc-be0b-001560b84f0f"): "a FreeBSD boot partition, which firmware reads",
	uuid.MustParse("3de21764-95bd-54bd-a5c3-4abe786f38a8"): "the environment of U-Boot",
	uuid.MustParse("4778ed65-bf42-45fa-9c5b-287a1dc4aab1"): "the state of Barebox",
	uuid.MustParse("5b193300-fc78-40cd-8002-e86c45580b47"): "a RISC-V boot loader",
	uuid.MustParse("2e54b353-1271-4842-806f-e43d6af69985"): "a RISC-V boot loader",
	uuid.MustParse("024dee41-33e7-11d3-9d69-0008c781f39f"): "a nested MBR",
	uuid.MustParse("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"): "the database of Windows dynamic disks (LDM)",
	uuid.MustParse("af9b60a0-1431-4f62-bc68-3311714a69ad"): "a part of a Windows dynamic disk (LDM)",
	uuid.MustParse("e75caf8f-f680-4cee-afa3-b001e56efc2d"): "a part of Windows Storage Spaces",
}

const remedyBoot = `set existing = "keep"; signatures protect what is in it, not encryption`

// checkNotForBoot refuses to encrypt what is read where nobody can unlock it.
func checkNotForBoot(d definitions.Definition, p disk.Partition) error {
	what := neverEncrypted[d.Partition.Type.UUID]
	switch {
	case d.Partition.Type.Designator() == "esp":
		what = "an EFI system partition, which firmware reads"
	case d.Partition.Type.Designator() == "xbootldr":
		what = "an extended boot loader partition, which the boot loader reads"
	case what == "" && p.Type != uuid.Nil && p.Attributes&attributeLegacyBoot != 0: // an MBR has no such attributes
		what = "marked as bootable (attribute 2), so a boot loader reads it"
	}
	if what == "" {
		return nil
	}
	return refuse(d, p, fmt.Sprintf("it is %s; it is never encrypted", what), remedyBoot)
}
