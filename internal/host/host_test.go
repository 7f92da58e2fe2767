package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/internal/testenv"
)

// fake makes a machine of files; a value that begins with "->" is a link.
func fake(t *testing.T, files map[string]string) machine {
	t.Helper()
	m := machine(t.TempDir())
	for name, content := range files {
		path := m.path(name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestGather(t *testing.T) {
	m := fake(t, map[string]string{
		"/proc/sys/kernel/random/boot_id":   "01234567-89ab-cdef-0123-456789abcdef\n",
		"/proc/sys/kernel/hostname":         "box.example.org\n",
		"/proc/sys/kernel/osrelease":        "6.12.0-1\n",
		"/lib/modules/6.12.0-1/modules.dep": "kernel/fs/btrfs/btrfs.ko.xz: kernel/lib/raid6/raid6_pq.ko.xz\n",
		"/etc/machine-id":                   "0123456789abcdef0123456789abcdef\n",
		"/etc/os-release":                   "->../usr/lib/os-release",
		"/usr/lib/os-release":               "# a comment\nID=fix\nNAME=\"A \\\"quoted\\\" \\n \\$name\"\nVERSION_ID='4 \\2'\n\nIMAGE_ID=\n",
		"/usr/sbin/mkfs.ext4":               "",
		"/opt/bin/mkswap":                   "",
		"/sbin/mkswap":                      "",
	})
	got := m.gather("", "relative:/opt/bin")
	no := false
	want := Facts{
		FirstBoot:    &no,
		Architecture: got.Architecture, MachineID: "0123456789abcdef0123456789abcdef",
		BootID: "0123456789abcdef0123456789abcdef", Hostname: "box.example.org", KernelRelease: "6.12.0-1",
		OSRelease: map[string]string{"ID": "fix", "NAME": `A "quoted" \n $name`, "VERSION_ID": `4 \2`, "IMAGE_ID": ""},
		Mounts:    mountable("btrfs"),
		Tools:     map[string]string{"mkfs.ext4": "/usr/sbin/mkfs.ext4", "mkswap": "/opt/bin/mkswap"},
		Opener:    Opener{Name: OpenerSealpart},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts differ (-want +got):\n%s", diff)
	}
	specifiers := map[rune]string{
		'a': got.Architecture, 'A': "", 'b': want.BootID, 'B': "", 'H': "box.example.org", 'l': "box",
		'm': want.MachineID, 'M': "", 'o': "fix", 'v': "6.12.0-1", 'w': `4 \2`, 'W': "",
	}
	if diff := cmp.Diff(specifiers, got.Specifiers()); diff != "" {
		t.Errorf("specifiers differ (-want +got):\n%s", diff)
	}
}

// TestGatherNothing: what is not there is not made up.
func TestGatherNothing(t *testing.T) {
	got := fake(t, map[string]string{
		"/etc/machine-id":           "uninitialized\n",
		"/proc/sys/kernel/hostname": "(none)\n",
	}).gather("", "")
	yes := true
	if diff := cmp.Diff(Facts{Architecture: got.Architecture, FirstBoot: &yes, Mounts: mountable(), Tools: map[string]string{}, Opener: Opener{Name: OpenerSealpart}}, got); diff != "" {
		t.Errorf("facts differ (-want +got):\n%s", diff)
	}
	if s := got.Specifiers(); len(s) != 1 {
		t.Errorf("specifiers are %v", s)
	}
}

// TestGatherRoot: the operating system's own facts come from the root, and links
// in it do not lead out of it.
func TestGatherRoot(t *testing.T) {
	m := fake(t, map[string]string{"/etc/machine-id": strings.Repeat("a", 32), "/etc/os-release": "ID=build-host"})
	outside := m.path("/etc/os-release")
	root := fake(t, map[string]string{
		"/etc/machine-id": strings.Repeat("b", 32), "/etc/os-release": "->" + outside, "/usr/lib/os-release": "ID=image",
	})
	got := m.gather(string(root), "")
	if got.MachineID != strings.Repeat("b", 32) || got.OSRelease["ID"] != "image" {
		t.Errorf("facts are %+v", got)
	}
}

func TestTPM2(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  bool
	}{
		{map[string]string{}, false},
		{map[string]string{"/dev/tpmrm0": ""}, true},
		{map[string]string{"/dev/tpm0": ""}, true},
		{map[string]string{"/dev/tpm0": "", "/sys/class/tpm/tpm0/tpm_version_major": "1\n"}, false},
		{map[string]string{"/sys/class/tpm/tpm0/tpm_version_major": "2\n"}, true},
	} {
		if got := fake(t, c.files).tpm2(); got != c.want {
			t.Errorf("%v: %v", c.files, got)
		}
	}
}

// disks is the /sys of a machine with two disks: sda with a partition that holds
// root's data and one that holds its hashes, LUKS (dm-1) over dm-verity (dm-0), and
// md0 over both disks.
func disks(more map[string]string) map[string]string {
	files := map[string]string{}
	add := func(name, number, dir string) {
		files["/sys/devices/"+dir+"/dev"] = number + "\n"
		files["/sys/dev/block/"+number] = "->../../devices/" + dir
		files["/sys/class/block/"+name] = "->../../devices/" + dir
	}
	add("sda", "8:0", "pci/sda")
	add("sda1", "8:1", "pci/sda/sda1")
	add("sda2", "8:2", "pci/sda/sda2")
	add("cciss!c0d0", "104:0", "pci/cciss!c0d0")
	add("cciss!c0d0p1", "104:1", "pci/cciss!c0d0/cciss!c0d0p1")
	add("dm-0", "253:0", "virtual/block/dm-0")
	add("dm-1", "253:1", "virtual/block/dm-1")
	add("md0", "9:0", "virtual/block/md0")
	for _, partition := range []string{"sda/sda1", "sda/sda2", "cciss!c0d0/cciss!c0d0p1"} {
		files["/sys/devices/pci/"+partition+"/partition"] = "1\n"
	}
	for place, target := range map[string]string{
		"dm-0/slaves/sda1": "pci/sda/sda1", "dm-0/slaves/sda2": "pci/sda/sda2", "dm-1/slaves/dm-0": "virtual/block/dm-0",
		"md0/slaves/sda": "pci/sda", "md0/slaves/cciss!c0d0": "pci/cciss!c0d0",
	} {
		files["/sys/devices/virtual/block/"+place] = "->../../../../" + target
	}
	files["/sys/devices/virtual/block/dm-1/dm/name"] = "root\n"
	for name, content := range more {
		files[name] = content
	}
	return files
}

func TestRootDisk(t *testing.T) {
	const usual = "22 27 0:21 / /proc rw - proc proc rw\n"
	for _, c := range []struct {
		name, mounts string
		files        map[string]string
		want, reason string
	}{
		{name: "partition", mounts: "27 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n", want: "/dev/sda"},
		{name: "whole disk", mounts: "27 1 8:0 / / rw - ext4 /dev/sda rw\n", want: "/dev/sda"},
		{name: "name with a slash", mounts: "27 1 104:1 / / rw - xfs /dev/cciss/c0d0p1 rw\n", want: "/dev/cciss/c0d0"},
		{name: "luks over verity", mounts: "27 1 253:1 / / rw - ext4 /dev/mapper/root rw\n", want: "/dev/sda"},
		{name: "btrfs on a partition", mounts: "27 1 0:30 /sub / rw - btrfs /dev/sda2 rw\n", want: "/dev/sda"},
		{name: "btrfs on a mapping without udev", mounts: "27 1 0:30 / / rw - btrfs /dev/mapper/root rw\n", want: "/dev/sda"},
		{name: "btrfs on a mapping with udev", mounts: "27 1 0:30 / / rw - btrfs /dev/mapper/other rw\n",
			files: map[string]string{"/dev/mapper/other": "->../dm-1", "/dev/dm-1": ""}, want: "/dev/sda"},
		{name: "the mount on top", mounts: "1 1 0:2 / / rw - rootfs rootfs rw\n27 1 8:1 / / rw - ext4 /dev/sda1 rw\n", want: "/dev/sda"},
		{name: "usr", mounts: "27 1 0:40 / / rw - tmpfs tmpfs rw\n28 27 8:2 / /usr ro - erofs /dev/sda2 ro\n", want: "/dev/sda"},
		{name: "volatile", mounts: "27 1 0:40 / / rw - overlay overlay rw\n",
			files: map[string]string{"/run/systemd/volatile-root": "->/dev/block/8:1"}, want: "/dev/sda"},
		{name: "initrd", mounts: "27 1 0:2 / / rw - rootfs rootfs rw\n28 27 104:1 / /sysroot ro - ext4 /dev/x ro\n",
			files: map[string]string{"/etc/initrd-release": ""}, want: "/dev/cciss/c0d0"},
		{name: "initrd with usr only", mounts: "27 1 0:2 / / rw - rootfs rootfs rw\n28 27 8:1 / /sysusr/usr ro - ext4 /dev/x ro\n",
			files: map[string]string{"/etc/initrd-release": ""}, want: "/dev/sda"},
		{name: "two disks", mounts: "27 1 9:0 / / rw - ext4 /dev/md0 rw\n", reason: "spread over"},
		{name: "memory", mounts: "27 1 0:40 / / rw - tmpfs tmpfs rw\n", reason: "not a block device"},
		{name: "network", mounts: "27 1 0:40 / / rw - nfs4 server:/root rw\n", reason: "not a block device"},
		{name: "nothing", reason: "not mounted"},
		{name: "not in sys", mounts: "27 1 77:7 / / rw - ext4 /dev/sdz rw\n", reason: "77:7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := disks(c.files)
			files["/proc/self/mountinfo"] = usual + c.mounts
			got, err := fake(t, files).rootDisk()
			if got != c.want || c.want == "" && (!errors.Is(err, ErrNoRootDisk) || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("disk %q, error %v", got, err)
			}
		})
	}
}

// TestRootDiskHere: on the machine of this test findmnt and lsblk agree.
func TestRootDiskHere(t *testing.T) {
	findmnt, lsblk := testenv.Need(t, "findmnt"), testenv.Need(t, "lsblk")
	source, err := exec.Command(findmnt, "-n", "-v", "-o", "SOURCE", "/").Output()
	if err != nil {
		t.Skipf("findmnt: %v", err)
	}
	chain, err := exec.Command(lsblk, "-n", "-s", "-r", "-p", "-o", "NAME", strings.TrimSpace(string(source))).Output()
	got, ours := RootDisk()
	if err != nil { // not a block device
		if !errors.Is(ours, ErrNoRootDisk) {
			t.Errorf("lsblk finds no disk, we %q, %v", got, ours)
		}
		return
	}
	names := strings.Fields(string(chain))
	if want := names[len(names)-1]; got != want {
		t.Errorf("lsblk says %s, we %q, %v", want, got, ours)
	}
}

// mountable is what this process may mount of the file systems that a kernel has.
func mountable(kernel ...string) []string {
	if os.Geteuid() != 0 || kernel == nil {
		return []string{}
	}
	return kernel
}
