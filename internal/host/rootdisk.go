package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoRootDisk says that no single disk is behind the root file system: it is in
// memory, on the network, or spread over several disks. Name the disk instead.
var ErrNoRootDisk = errors.New("no disk is behind the root file system")

// RootDisk returns the path of the whole disk that holds the root file system of
// this machine, or in an initrd of the machine that is about to be booted. It looks
// through encryption, dm-verity and partitions. Where the root is in memory and /usr
// is on a disk, that one is meant, as in systemd-repart.
func RootDisk() (string, error) { return machine("/").rootDisk() }

func (m machine) rootDisk() (string, error) {
	table, err := os.ReadFile(m.path("/proc/self/mountinfo"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoRootDisk, err)
	}
	var reasons []error
	for _, place := range m.rootPlaces() {
		device, err := m.mountedAt(string(table), place)
		if err == nil {
			var disk string
			if disk, err = m.diskBehind(device, 0); err == nil {
				return disk, nil
			}
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", place, err))
	}
	return "", fmt.Errorf("%w: %w", ErrNoRootDisk, errors.Join(reasons...))
}

// volatileRoot is where systemd leaves the number of the root device when it puts
// a file system in memory over it (systemd-volatile-root.service).
const volatileRoot = "/run/systemd/volatile-root"

// rootPlaces lists where the root file system may be mounted, the best first.
func (m machine) rootPlaces() []string {
	if m.exists("/etc/initrd-release") {
		return []string{"/sysroot", "/sysusr/usr", "/sysroot/usr"}
	}
	return []string{"/", volatileRoot, "/usr"}
}

// mountedAt returns the number, "8:1", of the block device mounted at place
// (proc_pid_mountinfo(5)). The last line of a place is the mount on top.
func (m machine) mountedAt(table, place string) (string, error) {
	if place == volatileRoot {
		link, err := os.Readlink(m.path(place))
		return filepath.Base(link), err
	}
	number, source, found := "", "", false
	for line := range strings.Lines(table) {
		front, back, _ := strings.Cut(line, " - ")
		before, after := strings.Fields(front), strings.Fields(back)
		if len(before) >= 5 && len(after) >= 2 && before[4] == place {
			number, source, found = before[2], after[1], true
		}
	}
	switch {
	case !found:
		return "", errors.New("not mounted")
	case !strings.HasPrefix(number, "0:"):
		return number, nil
	case !strings.HasPrefix(source, "/dev/"):
		return "", fmt.Errorf("%s is not a block device", source)
	}
	return m.deviceNumber(source)
}

// deviceNumber returns the number of a device node. A btrfs has a number of its own
// in the mount table, so there only the name of its device tells.
func (m machine) deviceNumber(node string) (string, error) {
	target, err := filepath.EvalSymlinks(m.path(node))
	if err != nil {
		target = m.path(node)
	}
	inSys := strings.ReplaceAll(strings.TrimPrefix(target, m.path("/dev")+"/"), "/", "!")
	if number := m.line("/sys/class/block/" + inSys + "/dev"); number != "" {
		return number, nil
	}
	name := filepath.Base(target)
	mappings, err := filepath.Glob(m.path("/sys/class/block/dm-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range mappings { // without udev /dev/mapper has nodes and no links
		if line := "/sys/class/block/" + filepath.Base(dir); m.line(line+"/dm/name") == name {
			return m.line(line + "/dev"), nil
		}
	}
	return "", fmt.Errorf("%s is not in /sys", node)
}

// diskBehind follows a block device down to the whole disk: from a partition to its
// disk, from a device-mapper or md device to those it is made of.
func (m machine) diskBehind(number string, depth int) (string, error) {
	dir, err := filepath.EvalSymlinks(m.path("/sys/dev/block/" + number))
	if err != nil {
		return "", fmt.Errorf("block device %s is not in /sys: %w", number, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "partition")); err == nil {
		return diskName(filepath.Dir(dir)), nil
	}
	parts, err := os.ReadDir(filepath.Join(dir, "slaves"))
	name := filepath.Base(dir)
	if err != nil || len(parts) == 0 || strings.HasPrefix(name, "dm-") && m.isAssembled(name) {
		return diskName(dir), nil
	}
	if depth > 16 {
		return "", fmt.Errorf("block device %s is stacked too deep", number)
	}
	disk := ""
	for _, part := range parts { // two for dm-verity: data and hashes
		text, err := os.ReadFile(filepath.Join(dir, "slaves", part.Name(), "dev"))
		if err != nil {
			return "", err
		}
		below, err := m.diskBehind(strings.TrimSpace(string(text)), depth+1)
		if err != nil {
			return "", err
		}
		if disk != "" && disk != below {
			return "", fmt.Errorf("it is spread over %s and %s", disk, below)
		}
		disk = below
	}
	return disk, nil
}

// diskName returns the node of a disk's folder in /sys, where "!" stands for "/".
func diskName(dir string) string {
	return "/dev/" + strings.ReplaceAll(filepath.Base(dir), "!", "/")
}
