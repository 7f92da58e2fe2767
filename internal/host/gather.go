package host

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/sealpart/sealpart/internal/resolve"
)

// machine is where /proc, /sys, /dev and programs are looked for: "/", or a folder
// that stands for a machine in a test.
type machine string

// Gather looks at this machine, and for the machine id and os-release at the tree
// under root; "" is this machine's own.
func Gather(root string) Facts {
	return machine("/").gather(root, os.Getenv("PATH"))
}

func (m machine) gather(root, path string) Facts {
	if root == "" {
		root = string(m)
	}
	facts := Facts{
		Architecture:  architectures[runtime.GOARCH],
		BootID:        strings.ReplaceAll(m.line("/proc/sys/kernel/random/boot_id"), "-", ""),
		Hostname:      m.line("/proc/sys/kernel/hostname"),
		KernelRelease: m.line("/proc/sys/kernel/osrelease"),
		MachineID:     machineID(readUnder(root, "etc/machine-id")),
		TPM2:          m.tpm2(),
		SecureBoot:    m.secureBoot(),
		Firmware:      m.firmware(),
		VM:            m.vm(),
		Container:     m.container(),
		CommandLine:   m.commandLine(),
		FirstBoot:     m.firstBoot(root),
		Mounts:        m.mounts(),
		Tools:         m.tools(path),
		Opener:        m.opener(root),
	}
	if facts.Hostname == "(none)" { // the kernel's word for a name that was never set
		facts.Hostname = ""
	}
	for _, place := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text := readUnder(root, place); text != "" {
			facts.OSRelease = parseOSRelease(text)
			break
		}
	}
	return facts
}

// firstBoot reports whether the operating system under root has never run, as systemd
// does: its machine id is not set yet (machine-id(5), First Boot Semantics). In an
// initramfs the id is that of the initramfs, and only the kernel command line tells.
func (m machine) firstBoot(root string) *bool {
	said, ok := m.commandLine().Value("systemd.condition_first_boot")
	text := strings.TrimSpace(readUnder(root, "etc/machine-id"))
	first := text == "" || text == "uninitialized"
	switch {
	case ok && (said == "1" || said == "yes" || said == "true" || said == "on"):
		first = true
	case ok:
		first = false
	case root != string(m):
	case m.exists("/run/systemd/first-boot"):
		first = true
	case m.exists("/etc/initrd-release") || m.exists("/conf/initramfs.conf") || m.exists("/scripts/local-top"):
		return nil
	}
	return &first
}

// architectures maps Go's names to systemd's, which the Discoverable Partitions
// types use.
var architectures = map[string]string{
	"386": "x86", "amd64": "x86-64", "arm": "arm", "arm64": "arm64", "loong64": "loongarch64",
	"mips64le": "mips64-le", "mipsle": "mips-le", "ppc64": "ppc64", "ppc64le": "ppc64-le",
	"riscv64": "riscv64", "s390x": "s390x",
}

// path returns the path of a file of the machine.
func (m machine) path(name string) string { return filepath.Join(string(m), name) }

// exists reports whether the machine has a file, link or folder of that name.
func (m machine) exists(name string) bool {
	_, err := os.Lstat(m.path(name))
	return err == nil
}

// line reads a file of one line, "" where it cannot be read.
func (m machine) line(name string) string {
	text, err := os.ReadFile(m.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Exists reports whether a tree has something of an absolute path; "" is this machine's
// own tree. Links in it are resolved in it.
func Exists(root, path string) bool {
	_, err := resolve.Tree{Root: root}.Stat(path)
	return err == nil
}

// readUnder reads a small file of a tree, in which links are resolved. It returns "" where
// there is none.
func readUnder(root, name string) string {
	tree := resolve.Tree{Root: root}
	info, err := tree.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := tree.Open(name, os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return ""
	}
	return string(text)
}

var machineIDPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// machineID returns the identifier in /etc/machine-id. On an image that was never
// booted the file is empty or says "uninitialized": there is none.
func machineID(text string) string {
	id := strings.TrimSpace(text)
	if !machineIDPattern.MatchString(id) || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}

// toolNames are the programs that make, check and change file systems.
var toolNames = []string{
	"btrfs", "debugfs", "e2fsck", "mcopy", "mkfs.btrfs", "mkfs.erofs", "mkfs.ext2", "mkfs.ext3", "mkfs.ext4",
	"mkfs.f2fs", "mkfs.vfat", "mkfs.xfs", "mksquashfs", "mkswap", "mmd", "resize2fs", "tune2fs", "xfs_repair", "zkey",
}

// tools finds the programs in the absolute folders of path, and where system
// programs are even if path lacks them, as it does for users who are not root.
func (m machine) tools(path string) map[string]string {
	found := map[string]string{}
	folders := append(filepath.SplitList(path), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
	for _, name := range toolNames {
		for _, folder := range folders {
			program := filepath.Join(folder, name)
			if filepath.IsAbs(folder) && m.executable(program) {
				found[name] = program
				break
			}
		}
	}
	return found
}

func (m machine) executable(name string) bool {
	info, err := os.Stat(m.path(name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// mounts lists the file systems of those that plans ask for which can be mounted: the
// kernel has them, or a module of it, and we are root.
func (m machine) mounts() []string {
	found := []string{}
	if os.Geteuid() != 0 {
		return found
	}
	release := m.line("/proc/sys/kernel/osrelease")
	for _, name := range []string{"btrfs", "ext2", "ext3", "ext4", "f2fs", "vfat", "xfs"} {
		known := func(file, word string) bool {
			text, err := os.ReadFile(m.path(file))
			return err == nil && strings.Contains(string(text), word)
		}
		if known("/proc/filesystems", "\t"+name+"\n") || known("/lib/modules/"+release+"/modules.dep", "/"+name+".ko") {
			found = append(found, name)
		}
	}
	return found
}
