package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// TwinsError says that several disks answer to the name of the root, or several devices
// to that of a key: one is a copy of the other, or was planted. Which of them a boot takes
// is chance, or an attacker's choice.
type TwinsError struct {
	Name  string   // as in fstab(5), or the path of a link
	Disks []string // nodes
	root  bool
}

// Error names the disks.
func (e *TwinsError) Error() string {
	return fmt.Sprintf("%s all answer to %s, and only one can be what is meant", strings.Join(e.Disks, " and "), e.Name)
}

// Unwrap is ErrNoRootDisk where there is no one disk of the root, else nil.
func (e *TwinsError) Unwrap() error {
	if e.root {
		return ErrNoRootDisk
	}
	return nil
}

// Hint says how to make an end of it.
func (e *TwinsError) Hint() string {
	if !e.root {
		return "detach the one that does not belong here, or name the device by a path of its own (/dev/disk/by-path/...)"
	}
	return "detach the one that does not belong here; where both must stay, give one other identifiers, or name the disk by a path of its own (sealpart.device=/dev/disk/by-path/...)"
}

// Names tells what a disk's partitions, and what they hold, are called, as in fstab(5):
// "UUID=…", "LABEL=…", "PARTUUID=…", "PARTLABEL=…".
type Names func(disk string) []string

// answers is what one look at the machine found.
type answers struct {
	m        machine
	contents map[string][]string // disk -> the nodes that udev would link to it
	claims   map[string][]string // node -> numbers of the devices that claim it
}

// look reads what udev knows, and where names is given what is on every disk.
func (m machine) look(names Names) answers {
	a := answers{m, map[string][]string{}, m.claims()}
	if names == nil {
		return a
	}
	for _, disk := range m.wholeDisks() {
		for _, name := range names(disk) {
			a.contents[disk] = append(a.contents[disk], folded(tagNode(name)))
		}
	}
	return a
}

// claims reads from udev's database which devices claim which links. Only one of them
// has the link in /dev.
func (m machine) claims() map[string][]string {
	claims := map[string][]string{}
	files, err := filepath.Glob(m.path("/run/udev/data/b*"))
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the device has gone
		}
		for line := range strings.Lines(string(text)) {
			if link, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "S:"); ok {
				node := folded("/dev/" + link)
				claims[node] = append(claims[node], strings.TrimPrefix(filepath.Base(file), "b"))
			}
		}
	}
	return claims
}

// folded writes the name of a link in one way where case does not matter.
func folded(node string) string {
	if strings.HasPrefix(node, "/dev/disk/by-uuid/") || strings.HasPrefix(node, "/dev/disk/by-partuuid/") {
		return strings.ToLower(node)
	}
	return node
}

// to lists the disks that answer to a name: by the link, by a claim to it, or by what is
// on them. A loop device is set aside where there is another: what it shows is elsewhere.
func (a answers) to(name string) []string {
	node := tagNode(name)
	numbers := slices.Clone(a.claims[folded(node)])
	if number, err := a.m.deviceNumber(node); err == nil && a.m.exists(node) {
		numbers = append(numbers, number)
	}
	var disks []string
	for _, number := range numbers {
		if disk := a.m.diskOf(number); disk != "" {
			disks = append(disks, disk)
		}
	}
	for disk, nodes := range a.contents {
		if slices.Contains(nodes, folded(node)) {
			disks = append(disks, disk)
		}
	}
	slices.Sort(disks)
	disks = slices.Compact(disks)
	if real := slices.DeleteFunc(slices.Clone(disks), func(d string) bool { return !isDisk(filepath.Base(d)) }); len(real) > 0 {
		return real
	}
	return disks
}

// one returns the disk that a name stands for, "" for none, and fails with a *TwinsError
// where several answer.
func (a answers) one(name string) (string, error) {
	switch disks := a.to(name); len(disks) {
	case 0:
		return "", nil
	case 1:
		return disks[0], nil
	default:
		return "", &TwinsError{name, disks, true}
	}
}

// CheckLink fails with a *TwinsError where several devices claim the link in /dev that a
// path is: udev makes it for one of them alone, and which of them is not ours to guess.
func CheckLink(path string) error { return machine("/").checkLink(path) }

func (m machine) checkLink(path string) error {
	numbers := m.claims()[folded(filepath.Clean(path))]
	if !strings.HasPrefix(path, "/dev/") || len(numbers) < 2 {
		return nil
	}
	e := &TwinsError{Name: path}
	for _, number := range numbers {
		if dir, err := filepath.EvalSymlinks(m.path("/sys/dev/block/" + number)); err == nil {
			e.Disks = append(e.Disks, diskName(dir))
		}
	}
	slices.Sort(e.Disks)
	return e
}
