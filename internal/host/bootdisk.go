package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
// longer than patience it fails with ErrNoRootDisk.
func BootDisk(ctx context.Context, patience time.Duration) (string, error) {
	return machine("/").bootDisk(ctx, patience)
}

// pollPause is the time between two looks for a device. Udev cannot be asked to tell:
// not every initramfs has it.
const pollPause = 20 * time.Millisecond

func (m machine) bootDisk(ctx context.Context, patience time.Duration) (string, error) {
	line := m.commandLine()
	for end := time.Now().Add(patience); ; {
		disk, nodes := m.findBootDisk(line)
		switch {
		case disk != "":
			return disk, nil
		case len(nodes) == 0:
			return "", fmt.Errorf("%w yet, and the kernel command line names none with sealpart.device=, root= or rd.luks.uuid=", ErrNoRootDisk)
		case time.Now().After(end):
			return "", fmt.Errorf("%w: %s did not appear within %s", ErrNoRootDisk, strings.Join(nodes, " or "), patience)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollPause):
		}
	}
}

// findBootDisk looks once. Where the disk is not there, it returns the nodes that it
// may come by.
func (m machine) findBootDisk(line CommandLine) (disk string, nodes []string) {
	if device, ok := line.Value("sealpart.device"); ok {
		nodes = []string{device}
	} else if disk, err := m.rootDisk(); err == nil {
		return disk, nil
	} else {
		nodes = append(m.bootNodes(line), m.loaderNode()...)
	}
	for _, node := range nodes {
		if disk, err := m.settledDisk(node); err == nil {
			return disk, nodes
		}
	}
	return "", nodes
}

// bootNodes lists the device nodes by which the kernel command line names the root
// file system or the volume around it, the surest first. What is opened only later,
// such as /dev/mapper/root, names no disk.
func (m machine) bootNodes(line CommandLine) []string {
	var nodes []string
	add := func(node string) {
		if node != "" {
			nodes = append(nodes, node)
		}
	}
	if root, ok := line.Value("root"); ok && !strings.HasPrefix(root, "/dev/mapper/") {
		add(tagNode(root))
	}
	for _, prefix := range []string{"rd.", ""} {
		if id, ok := line.Value(prefix + "luks.uuid"); ok {
			add(tagNode("UUID=" + strings.TrimPrefix(id, "luks-")))
		}
		if id, ok := line.Value(prefix + "luks.name"); ok {
			id, _, _ = strings.Cut(id, "=")
			add(tagNode("UUID=" + id))
		}
	}
	return nodes
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

// loaderNode returns the node of the partition that the boot loader came from, where
// it told that.
func (m machine) loaderNode() []string {
	id := m.efiText("LoaderDevicePartUUID-" + loaderVendor)
	if id == "" {
		return nil
	}
	return []string{tagNode("PARTUUID=" + id)}
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
