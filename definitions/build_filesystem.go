package definitions

import (
	"fmt"
	"strings"
)

// filesystem builds the [filesystem] table.
func (b *builder) filesystem() Filesystem {
	f := Filesystem{
		Format:     b.oneOf(b.set, "filesystem.format", formats, ""),
		CopyFiles:  b.copyFiles(),
		CopyBlocks: b.copyBlocks(),
	}
	label, s := b.text("filesystem.label")
	if err := checkVolumeLabel(f.Format, label); err != nil {
		e := b.fail(s, "%v", err)
		if upper := strings.ToUpper(label); f.Format == "vfat" && checkVolumeLabel(f.Format, upper) == nil {
			e.hint("write %q", upper)
		}
	}
	f.Label = label
	return f
}

// checkVolumeLabel refuses a label that a file system has no room for, or that its
// mkfs would refuse, cut short or warn about. For "swap" it is 15 bytes: mkswap
// ends the 16 of its header with a NUL.
func checkVolumeLabel(format, label string) error {
	room := map[string]int{"ext4": 16, "vfat": 11, "swap": 15}
	if most, ok := room[format]; ok && len(label) > most {
		return fmt.Errorf("is %d bytes long, %s has room for %d: %q", len(label), format, most, label)
	}
	if format != "vfat" || label == "" {
		return nil
	}
	for _, r := range label {
		switch {
		case r >= 'a' && r <= 'z':
			return fmt.Errorf("of vfat must be upper case: %q", label)
		case r >= 0x80 || strings.ContainsRune(`*?.,;:/\|+=<>[]"`, r):
			return fmt.Errorf("of vfat cannot hold %q", r)
		}
	}
	if label[0] == ' ' {
		return fmt.Errorf("of vfat cannot begin with a space")
	}
	return nil
}

// copyFiles returns what is copied into a new file system: "SOURCE:TARGET", or
// "PATH" for both. A third part, repart's options, is not built.
func (b *builder) copyFiles() []CopyFile {
	texts, s, _ := value[[]string](b.set, "filesystem.copy_files")
	var files []CopyFile
	for i, text := range texts {
		source, target, both := strings.Cut(b.expand(s, i, text), ":")
		if !both {
			target = source
		}
		target, options, more := strings.Cut(target, ":")
		if more {
			b.failItem(s, i, "has options %q, which are not built yet", options)
		}
		for _, path := range []string{source, target} {
			if err := checkPath(path); err != nil {
				b.failItem(s, i, "%v", err)
				break
			}
		}
		files = append(files, CopyFile{Source: source, Target: target})
	}
	return files
}

// copyBlocks returns the file or device whose bytes a new partition starts with.
func (b *builder) copyBlocks() string {
	path, s := b.text("filesystem.copy_blocks")
	switch {
	case s.path == "":
	case path == "auto":
		b.fail(s, `is "auto", which is not built yet`)
	default:
		if err := checkPath(path); err != nil {
			b.fail(s, "%v", err)
		}
	}
	return path
}
