package host

// ProgramsFor returns the programs that make a file system of a format, with files
// in it or without; nil where the format is unknown. So a missing one can be told
// before anything is written.
func ProgramsFor(format string, files bool) []string {
	var programs, copying []string
	switch format {
	case "ext4":
		programs, copying = []string{"mkfs.ext4"}, []string{"debugfs"}
	case "vfat":
		programs, copying = []string{"mkfs.vfat"}, []string{"mmd", "mcopy"}
	case "swap":
		programs = []string{"mkswap"}
	}
	if files {
		return append(programs, copying...)
	}
	return programs
}

// ShrinkPrograms returns the programs that make an ext file system smaller.
func ShrinkPrograms() []string { return []string{"e2fsck", "resize2fs"} }

// PackageOf returns the name of the Debian package that has a program of
// ProgramsFor or ShrinkPrograms.
func PackageOf(program string) string {
	switch program {
	case "mkfs.vfat":
		return "dosfstools"
	case "mmd", "mcopy":
		return "mtools"
	case "mkswap":
		return "util-linux"
	case "zkey":
		return "s390-tools"
	}
	return "e2fsprogs"
}
