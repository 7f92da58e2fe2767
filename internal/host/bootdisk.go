package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// BootDisk returns the whole disk that the boot under way is about, before its root
// file system is mounted. It is, in this order:
//
//   - what "sealpart.device=" on the kernel command line names, a disk or a partition
//     of it, and nothing else where that is given;
//   - the disk behind what is mounted already (RootDisk);
//   - the disk of the block device that "root=", "rd.luks.uuid=" or "rd.luks.name="
//     names;
//   - the disk with the partition that the boot loader came from (LoaderDevicePartUUID,
//     systemd's Boot Loader Interface), where gpt-auto-generator looks too.
//
// It waits until such a device is there and udev, where it runs, has done with it; for
// longer than patience it fails with ErrNoRootDisk. Udev's links are not all: where it
// does not run there are none, and where a power cut came while a header took the place
// of a file system it sees neither. So from a second on, holds is asked of every disk
// whether something on it has one of the names ("UUID=…", as in fstab(5)).
func BootDisk(ctx context.Context, patience time.Duration, holds func(disk string, names []string) bool) (string, error) {
	return machine("/").bootDisk(ctx, patience, holds)
}

// pollPause is the time between two looks for a device. Udev cannot be asked to tell:
// not every initramfs has it. Each probing-th look goes into the disks.
const (
	pollPause = 20 * time.Millisecond
	probing   = 50
)

func (m machine) bootDisk(ctx context.Context, patience time.Duration, holds func(string, []string) bool) (string, error) {
	line := m.commandLine()
	end := time.Now().Add(patience)
	for look := 1; ; look++ {
		disk, names := m.findBootDisk(line)
		if disk == "" && look%probing == 0 {
			disk = m.diskThatHolds(names, holds)
		}
		switch {
		case disk != "":
			return disk, nil
		case len(names) == 0:
			return "", fmt.Errorf("%w yet, and the kernel command line names none with sealpart.device=, root= or rd.luks.uuid=", ErrNoRootDisk)
		case time.Now().After(end):
			return "", fmt.Errorf("%w: %s did not appear within %s", ErrNoRootDisk, strings.Join(names, " or "), patience)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollPause):
		}
	}
}

// findBootDisk looks once. Where the disk is not there, it returns the names that it
// may come by.
func (m machine) findBootDisk(line CommandLine) (disk string, names []string) {
	if device, ok := line.Value("sealpart.device"); ok {
		names = []string{device}
	} else if disk, err := m.rootDisk(); err == nil {
		return disk, nil
	} else {
		names = m.bootNames(line)
	}
	for _, name := range names {
		if disk, err := m.settledDisk(tagNode(name)); err == nil {
			return disk, names
		}
	}
	return "", names
}

// bootNames lists the names of the root file system or of the volume around it, the
// surest first. What is opened only later, such as /dev/mapper/root, names no disk.
func (m machine) bootNames(line CommandLine) []string {
	var names []string
	if root, ok := line.Value("root"); ok && !strings.HasPrefix(root, "/dev/mapper/") {
		names = append(names, root)
	}
	for _, prefix := range []string{"rd.", ""} {
		if id, ok := line.Value(prefix + "luks.uuid"); ok {
			names = append(names, "UUID="+strings.TrimPrefix(id, "luks-"))
		}
		if id, ok := line.Value(prefix + "luks.name"); ok {
			id, _, _ = strings.Cut(id, "=")
			names = append(names, "UUID="+id)
		}
	}
	if id := m.efiText("LoaderDevicePartUUID-" + loaderVendor); id != "" {
		names = append(names, "PARTUUID="+strings.ToLower(id))
	}
	return slices.DeleteFunc(names, func(name string) bool { return tagNode(name) == "" })
}

// diskThatHolds asks about every disk of the machine that udev has done with.
func (m machine) diskThatHolds(names []string, holds func(string, []string) bool) string {
	if holds == nil || len(names) == 0 {
		return ""
	}
	found, err := os.ReadDir(m.path("/sys/block"))
	if err != nil {
		return ""
	}
	for _, entry := range found {
		disk, err := m.settledDisk(diskName(entry.Name()))
		if err == nil && disk == diskName(entry.Name()) && holds(disk, names) {
			return disk
		}
	}
	return ""
}

// tagNode returns the node that a device is named by as in fstab(5), "" where it is
// no block device's name.
func tagNode(name string) string {
	if strings.HasPrefix(name, "/dev/") {
		return name
	}
	tag, value, _ := strings.Cut(name, "=")
	switch tag {
	case "UUID":
		return "/dev/disk/by-uuid/" + udevName(value)
	case "LABEL":
		return "/dev/disk/by-label/" + udevName(value)
	case "PARTUUID":
		return "/dev/disk/by-partuuid/" + strings.ToLower(udevName(value))
	case "PARTLABEL":
		return "/dev/disk/by-partlabel/" + udevName(value)
	}
	return ""
}

// udevName writes a value as udev does in the name of a link.
func udevName(value string) string {
	var b strings.Builder
	for _, r := range value {
		switch {
		case r >= utf8.RuneSelf, r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', strings.ContainsRune("#+-.:=@_", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}

// settledDisk returns the disk of a node that is there, once udev has done with both:
// until then udev may still hold them, and not know their links.
func (m machine) settledDisk(node string) (string, error) {
	if !m.exists(node) {
		return "", os.ErrNotExist
	}
	number, err := m.deviceNumber(node)
	if err != nil {
		return "", err
	}
	disk, err := m.diskBehind(number, 0)
	if err != nil {
		return "", err
	}
	whole, err := m.deviceNumber(disk)
	if err != nil {
		return "", err
	}
	for _, n := range []string{number, whole} {
		if m.exists("/run/udev/control") && !m.exists(filepath.Join("/run/udev/data", "b"+n)) {
			return "", fmt.Errorf("udev has not done with block device %s yet", n)
		}
	}
	return disk, nil
}
