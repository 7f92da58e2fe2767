package definitions

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// A rule is a way in which the settings of one definition can contradict each
// other. It returns the key to point at and what is wrong; no message where all is
// well. It is given definitions whose values are each right on their own.
type rule func(d *Definition) (key, message string)

// rules lists the cross checks of one definition: systemd-repart's fatal ones,
// those it only warns about, and ours.
var rules = []rule{
	sizeRange, paddingRange,
	knownNoAuto, knownReadOnly, knownGrowFileSystem, readOnlyOrGrow,
	blocksOrFormat, blocksOrFiles, blocksOrLabel, swapWithoutFiles,
	hashWithoutFormat, hashWithoutFiles, hashWithoutBlocks, verityOrEncryption,
	swapWithoutMount, hashWithoutMount,
	plainESP,
}

// checkOne runs all rules on a definition.
func checkOne(l *loaded) []error {
	var errs []error
	applying := rules
	if l.Encryption != nil {
		applying = slices.Concat(rules, encryptionRules)
	}
	for _, broken := range applying {
		if key, message := broken(&l.Definition); message != "" {
			errs = append(errs, l.place(key).errorf(key, "%s", message))
		}
	}
	return errs
}

// place returns where a key or table is set, or the file where it is not.
func (l *loaded) place(key string) place {
	if s, ok := l.set[key]; ok {
		return s.name
	}
	return place{file: &file{path: l.File}}
}

func sizeRange(d *Definition) (key, message string) {
	return fallingRange("size", d.Partition.SizeMin, d.Partition.SizeMax)
}

func paddingRange(d *Definition) (key, message string) {
	return fallingRange("padding", d.Partition.PaddingMin, d.Partition.PaddingMax)
}

// fallingRange reports whether a minimum is above its maximum.
func fallingRange(what string, low, high *disk.Bytes) (key, message string) {
	if low == nil || high == nil || *low <= *high {
		return "", ""
	}
	return "partition." + what + "_min", fmt.Sprintf(`"%s_min" (%v) is above "%s_max" (%v)`, what, *low, what, *high)
}

func knownNoAuto(d *Definition) (key, message string) {
	return knownFlag(d, "no_auto", d.Partition.NoAuto, d.Partition.Type.KnowsNoAuto())
}

func knownReadOnly(d *Definition) (key, message string) {
	return knownFlag(d, "read_only", d.Partition.ReadOnly, d.Partition.Type.KnowsReadOnly())
}

func knownGrowFileSystem(d *Definition) (key, message string) {
	return knownFlag(d, "grow_file_system", d.Partition.GrowFileSystem, d.Partition.Type.KnowsGrowFileSystem())
}

// knownFlag refuses an attribute on a type that gives it no meaning.
func knownFlag(d *Definition, name string, set *bool, knows bool) (key, message string) {
	if set == nil || knows {
		return "", ""
	}
	return "partition." + name, fmt.Sprintf("partitions of type %s do not know %q", typeName(d), name)
}

// typeName is the type's name, or its GUID where it has none.
func typeName(d *Definition) string {
	if d.Partition.Type.Name != "" {
		return d.Partition.Type.Name
	}
	return d.Partition.Type.UUID.String()
}

func readOnlyOrGrow(d *Definition) (key, message string) {
	readOnly, grow := d.Partition.ReadOnly, d.Partition.GrowFileSystem
	if readOnly == nil || grow == nil || !*readOnly || !*grow {
		return "", ""
	}
	return "partition.grow_file_system", `"read_only" and "grow_file_system" contradict each other`
}

func blocksOrFormat(d *Definition) (key, message string) {
	return excludes(d.Filesystem.CopyBlocks != "" && d.Filesystem.Format != "", "format")
}

func blocksOrFiles(d *Definition) (key, message string) {
	return excludes(d.Filesystem.CopyBlocks != "" && len(d.Filesystem.CopyFiles) > 0, "copy_files")
}

func blocksOrLabel(d *Definition) (key, message string) {
	return excludes(d.Filesystem.CopyBlocks != "" && d.Filesystem.Label != "", "label")
}

// excludes is the message for a key that "copy_blocks" leaves no room for.
func excludes(both bool, name string) (key, message string) {
	if !both {
		return "", ""
	}
	return "filesystem." + name, fmt.Sprintf(`"copy_blocks" brings the whole content, there is no %q beside it`, name)
}

func swapWithoutFiles(d *Definition) (key, message string) {
	if !isSwap(d) || len(d.Filesystem.CopyFiles) == 0 {
		return "", ""
	}
	return "filesystem.copy_files", "swap space holds no files"
}

func swapWithoutMount(d *Definition) (key, message string) {
	if !isSwap(d) || len(d.Partition.MountPoints) == 0 {
		return "", ""
	}
	return "partition.mount_point", "swap space is not mounted"
}

// isSwap reports whether a new partition of the definition becomes swap space.
func isSwap(d *Definition) bool {
	return d.Filesystem.Format == "swap" || d.Filesystem.Format == "" && d.Partition.Type.Designator() == "swap"
}

func hashWithoutMount(d *Definition) (key, message string) {
	if len(d.Partition.MountPoints) == 0 || d.Verity == nil || d.Verity.Role != VerityHash {
		return "", ""
	}
	return "partition.mount_point", "a hash tree is not mounted"
}

func hashWithoutFormat(d *Definition) (key, message string) {
	return hashOnly(d, d.Filesystem.Format != "", "format")
}

func hashWithoutFiles(d *Definition) (key, message string) {
	return hashOnly(d, len(d.Filesystem.CopyFiles) > 0, "copy_files")
}

func hashWithoutBlocks(d *Definition) (key, message string) {
	return hashOnly(d, d.Filesystem.CopyBlocks != "", "copy_blocks")
}

// hashOnly refuses content for a partition that will hold a hash tree.
func hashOnly(d *Definition, set bool, name string) (key, message string) {
	if !set || d.Verity == nil || d.Verity.Role != VerityHash {
		return "", ""
	}
	return "filesystem." + name, fmt.Sprintf("the verity role %q leaves no room for %q", VerityHash, name)
}

func verityOrEncryption(d *Definition) (key, message string) {
	if d.Verity == nil || d.Encryption == nil {
		return "", ""
	}
	return "encryption", "[verity] and [encryption] exclude each other"
}

func plainESP(d *Definition) (key, message string) {
	if d.Encryption == nil || d.Partition.Type.Designator() != "esp" {
		return "", ""
	}
	return "encryption", "firmware must read the ESP, it cannot be encrypted"
}
