package host

import (
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/internal/resolve"
)

// Opener is what opens the volumes of a machine after they are made.
type Opener struct {
	// Name is OpenerSystemd where the tree has systemd-cryptsetup or its plugin of cryptsetup, OpenerSealpart where it
	// has nothing but "sealpart open"; "": nobody knows.
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"` // of systemd, 0 where it cannot be told
	// Initramfs is set where the tree is one: it opens the root file system and /usr. What
	// opens the others is in the root file system, and unknown.
	Initramfs bool `json:"initramfs,omitempty"`
}

// The openers.
const (
	OpenerSystemd  = "systemd"
	OpenerSealpart = "sealpart"
)

// The first versions of systemd that open a TPM key under a persistent storage key, and
// one whose PIN is hardened.
const (
	newestSince    = 254
	newestPINSince = 262
)

// NewestSince returns the first version of systemd that opens a TPM key in the newest form.
func NewestSince(pin bool) int {
	if pin {
		return newestPINSince
	}
	return newestSince
}

// OpensNewest reports whether a TPM key in the newest form is known to be opened. root says
// that it is of the root file system or /usr.
func (o Opener) OpensNewest(pin, root bool) bool {
	if o.Initramfs && !root {
		return false
	}
	return o.Name == OpenerSealpart || o.Name == OpenerSystemd && o.Version >= NewestSince(pin)
}

// opener looks at the tree that is started later: an image's, or the one that runs here,
// which may be the initramfs itself.
func (m machine) opener(root string) Opener {
	tree := machine(root)
	o := Opener{Initramfs: root == string(m) && m.isInitramfs()}
	if tree.hasSystemdOpener() {
		o.Name, o.Version = OpenerSystemd, tree.systemdVersion()
		return o
	}
	if root == string(m) || Exists(root, "/usr/bin/sealpart") {
		o.Name = OpenerSealpart
	}
	return o
}

// hasSystemdOpener reports whether a tree has systemd-cryptsetup, or the plugin by which
// cryptsetup alone opens a TPM key's keyslot with systemd's code, as in an initramfs without
// systemd.
func (m machine) hasSystemdOpener() bool {
	for _, place := range []string{"usr/lib/systemd/systemd-cryptsetup", "lib/systemd/systemd-cryptsetup", "usr/bin/systemd-cryptsetup"} {
		if Exists(string(m), "/"+place) {
			return true
		}
	}
	for _, place := range []string{"usr/lib", "usr/lib64", "usr/lib/*", "lib", "lib/*"} {
		if len(m.glob(place+"/cryptsetup/libcryptsetup-token-systemd-tpm2.so")) > 0 {
			return true
		}
	}
	return false
}

// glob lists the paths of the tree that fit a pattern; links in it are resolved in it, so that
// an image's are not taken for this machine's.
func (m machine) glob(pattern string) []string {
	found, _ := fs.Glob(resolve.Tree{Root: string(m)}.FS("/"), pattern) // the pattern is a good one
	return found
}

// isInitramfs reports whether this machine still runs its initramfs.
func (m machine) isInitramfs() bool {
	if m.exists("/etc/initrd-release") || m.exists("/conf/initramfs.conf") || m.exists("/scripts/local-top") {
		return true
	}
	kind := ""
	for line := range strings.Lines(m.line("/proc/mounts")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[1] == "/" {
			kind = fields[2] // the last is the one that is seen
		}
	}
	return slices.Contains([]string{"rootfs", "ramfs", "tmpfs"}, kind)
}

var sharedLibrary = regexp.MustCompile(`/libsystemd-shared-([0-9]+)[^/]*\.so$`)

// systemdVersion tells systemd's version by the name of its library; of several it is the
// oldest. It is 0 where there is none.
func (m machine) systemdVersion() (oldest int) {
	for _, pattern := range []string{"usr/lib/systemd", "usr/lib64/systemd", "usr/lib/*/systemd", "lib/systemd", "lib/*/systemd"} {
		for _, path := range m.glob(pattern + "/libsystemd-shared-*.so") {
			match := sharedLibrary.FindStringSubmatch(path)
			if match == nil {
				continue
			}
			if version, err := strconv.Atoi(match[1]); err == nil && (oldest == 0 || version < oldest) {
				oldest = version
			}
		}
	}
	return oldest
}
