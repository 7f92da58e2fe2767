package host

import (
	"context"
	"fmt"
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
// of a file system it sees neither. So names is asked what is on every disk: at once where
// a link is there or patience is 0, else once a second. Where several disks answer to the
// name that decides, it fails with a *TwinsError: of their links only one is ever there.
func BootDisk(ctx context.Context, patience time.Duration, names Names) (string, error) {
	return machine("/").bootDisk(ctx, patience, names)
}

// pollPause is the time between two looks for a device. Udev cannot be asked to tell:
// not every initramfs has it. Each probing-th look goes into the disks.
const (
	pollPause = 20 * time.Millisecond
	probing   = 50
)

// twinPatience is how long two disks may answer while udev is at work: the paths of a
// multipath disk are two until they are made one.
const twinPatience = 10 * time.Second

func (m machine) bootDisk(ctx context.Context, patience time.Duration, contents Names) (string, error) {
	line := m.commandLine()
	begin := time.Now()
	for look := 1; ; look++ {
		disk, names, err := m.findBootDisk(line, contents, patience == 0 || look%probing == 0)
		passed := time.Since(begin)
		switch {
		case err != nil && !(m.exists("/run/udev/queue") && passed < min(patience, twinPatience)):
			return "", err
		case disk != "":
			return disk, nil
		case len(names) == 0:
			return "", fmt.Errorf("%w yet, and the kernel command line names none with sealpart.device=, root= or rd.luks.uuid=", ErrNoRootDisk)
		case passed >= patience:
			return "", fmt.Errorf("%w: %s did not appear within %s", ErrNoRootDisk, strings.Join(names, " or "), patience)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollPause):
		}
	}
}

// findBootDisk looks once, and not beyond what is linked unless deep is set. Where the
// disk is not there, it returns the names that it may come by. The first name that any
// disk answers to decides.
func (m machine) findBootDisk(line CommandLine, contents Names, deep bool) (disk string, names []string, err error) {
	if device, ok := line.Value("sealpart.device"); ok {
		names = []string{device}
	} else if disk, err := m.rootDisk(); err == nil {
		return disk, nil, nil
	} else {
		names = m.bootNames(line)
	}
	if !deep && !slices.ContainsFunc(names, func(name string) bool { return m.settled(tagNode(name)) }) {
		return "", names, nil
	}
	found := m.look(contents)
	for _, name := range names {
		disk, err := found.one(name)
		switch {
		case err != nil:
			return "", names, err
		case disk != "" && m.settled(disk) && (!m.exists(tagNode(name)) || m.settled(tagNode(name))):
			return disk, names, nil
		case disk != "":
			return "", names, nil
		}
	}
	return "", names, nil
}

// bootNames lists the names of the root file system or of the volume around it, the
// surest first. What is opened only later, such as /dev/mapper/root, names no disk.
func (m machine) bootNames(line CommandLine) []string {
	var names []string
	if root, ok := line.Value("root"); ok && !strings.HasPrefix(root, "/dev/mapper/") {
		root, _, _ = strings.Cut(root, "/PARTNROFF=") // a partition beside the one that is named
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

// settled reports whether a node is there and udev, where it runs, has done with it and
// with its disk: until then udev may still hold them, and not know their links.
func (m machine) settled(node string) bool {
	if !m.exists(node) {
		return false
	}
	number, err := m.deviceNumber(node)
	if err != nil {
		return false
	}
	whole, err := m.deviceNumber(m.diskOf(number))
	if err != nil {
		return false
	}
	return !slices.ContainsFunc([]string{number, whole}, func(n string) bool {
		return m.exists("/run/udev/control") && !m.exists(filepath.Join("/run/udev/data", "b"+n))
	})
}
