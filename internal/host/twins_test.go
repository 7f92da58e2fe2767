package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// twin is a machine that boots, on which another disk sdb has what sda has. Udev has
// linked sda alone.
func twin(t *testing.T, cmdline string, more map[string]string) machine {
	t.Helper()
	files := map[string]string{
		"/dev/sdb": "", "/dev/sdb1": "", "/run/udev/data/b8:16": "", "/run/udev/data/b8:17": "",
		"/sys/devices/pci/sdb/dev": "8:16\n", "/sys/dev/block/8:16": "->../../devices/pci/sdb", "/sys/class/block/sdb": "->../../devices/pci/sdb",
		"/sys/devices/pci/sdb/sdb1/dev": "8:17\n", "/sys/dev/block/8:17": "->../../devices/pci/sdb/sdb1", "/sys/class/block/sdb1": "->../../devices/pci/sdb/sdb1",
		"/sys/devices/pci/sdb/sdb1/partition": "1\n",
		"/sys/block/sda":                      "->../devices/pci/sda", "/sys/block/sdb": "->../devices/pci/sdb",
	}
	for name, content := range more {
		files[name] = content
	}
	return booting(t, cmdline, files)
}

// onBoth says that sda and sdb have the same on them.
func onBoth(names ...string) Names {
	return func(disk string) []string {
		if disk == "/dev/sda" || disk == "/dev/sdb" {
			return names
		}
		return nil
	}
}

const twinID = "0f5dca74-21d2-4b5b-b2cc-98a5ae2ce5c7"

// TestTwins: two disks that answer to the name of the root are refused, both named,
// whichever way that name is found.
func TestTwins(t *testing.T) {
	loader := "/sys/firmware/efi/efivars/LoaderDevicePartUUID-" + loaderVendor
	for _, c := range []struct {
		name, cmdline string
		files         map[string]string
		contents      Names
	}{
		{name: "file system", cmdline: "root=UUID=" + twinID, files: map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"}, contents: onBoth("UUID=" + twinID)},
		{name: "without a link", cmdline: "root=UUID=" + twinID, contents: onBoth("UUID=" + twinID)},
		{name: "without udev", cmdline: "root=UUID=" + twinID, files: map[string]string{"/run/udev/control": "-"}, contents: onBoth("UUID=" + twinID)},
		{name: "link as path", cmdline: "root=/dev/disk/by-uuid/" + twinID, files: map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"}, contents: onBoth("UUID=" + twinID)},
		{name: "label", cmdline: `root="LABEL=my root"`, files: map[string]string{`/dev/disk/by-label/my\x20root`: "->../../sda1"}, contents: onBoth("LABEL=my root")},
		{name: "partition label", cmdline: "root=PARTLABEL=root", files: map[string]string{"/dev/disk/by-partlabel/root": "->../../sda1"}, contents: onBoth("PARTLABEL=root")},
		{name: "partition", cmdline: "root=PARTUUID=" + strings.ToUpper(twinID), files: map[string]string{"/dev/disk/by-partuuid/" + twinID: "->../../sda1"}, contents: onBoth("PARTUUID=" + twinID)},
		{name: "beside a partition", cmdline: "root=PARTUUID=" + twinID + "/PARTNROFF=1", files: map[string]string{"/dev/disk/by-partuuid/" + twinID: "->../../sda1"}, contents: onBoth("PARTUUID=" + twinID)},
		{name: "volume", cmdline: "root=/dev/mapper/root rd.luks.name=" + twinID + "=root", files: map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"}, contents: onBoth("UUID=" + twinID)},
		{name: "volume by uuid", cmdline: "rd.luks.uuid=luks-" + twinID, files: map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"}, contents: onBoth("UUID=" + twinID)},
		{name: "boot loader's disk", cmdline: "quiet", files: map[string]string{loader: efiString(strings.ToUpper(twinID)), "/dev/disk/by-partuuid/" + twinID: "->../../sda1"}, contents: onBoth("PARTUUID=" + twinID)},
		{name: "named by the owner", cmdline: "sealpart.device=PARTLABEL=root", files: map[string]string{"/dev/disk/by-partlabel/root": "->../../sda1"}, contents: onBoth("PARTLABEL=root")},
		{name: "udev knows more than we", cmdline: "root=LABEL=odd", files: map[string]string{
			"/dev/disk/by-label/odd": "->../../sda1", "/run/udev/data/b8:1": "S:disk/by-label/odd\n", "/run/udev/data/b8:17": "L:0\nS:disk/by-label/odd\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := twin(t, c.cmdline, c.files).bootDisk(t.Context(), 0, c.contents)
			var twins *TwinsError
			if !errors.As(err, &twins) || !errors.Is(err, ErrNoRootDisk) || !slices.Equal(twins.Disks, []string{"/dev/sda", "/dev/sdb"}) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestNoTwins: a disk that is seen twice, and one that another name chooses, are one.
func TestNoTwins(t *testing.T) {
	link := map[string]string{"/dev/disk/by-uuid/" + twinID: "->../../sda1"}
	multipath := map[string]string{
		"/dev/dm-7": "", "/run/udev/data/b253:7": "", "/sys/block/dm-7": "->../devices/virtual/block/dm-7", "/sys/class/block/dm-7": "->../../devices/virtual/block/dm-7",
		"/sys/devices/virtual/block/dm-7/dev": "253:7\n", "/sys/dev/block/253:7": "->../../devices/virtual/block/dm-7", "/sys/devices/virtual/block/dm-7/dm/uuid": "mpath-3600\n",
		"/sys/devices/virtual/block/dm-7/slaves/sda": "->../../../../pci/sda", "/sys/devices/virtual/block/dm-7/slaves/sdb": "->../../../../pci/sdb",
		"/sys/devices/pci/sda/holders/dm-7": "->../../../virtual/block/dm-7", "/sys/devices/pci/sdb/holders/dm-7": "->../../../virtual/block/dm-7",
	}
	loop := map[string]string{
		"/dev/loop0": "", "/sys/block/loop0": "->../devices/virtual/block/loop0", "/sys/class/block/loop0": "->../../devices/virtual/block/loop0",
		"/sys/devices/virtual/block/loop0/dev": "7:0\n", "/sys/dev/block/7:0": "->../../devices/virtual/block/loop0",
		"/run/udev/data/b7:0": "S:disk/by-uuid/" + twinID + "\n", "/run/udev/data/b8:1": "S:disk/by-uuid/" + twinID + "\n",
		"/dev/disk/by-uuid/" + twinID: "->../../loop0",
	}
	for _, c := range []struct {
		name, cmdline string
		files         map[string]string
		contents      Names
		want          string
	}{
		{"two partitions of one disk", "root=UUID=" + twinID, map[string]string{
			"/dev/disk/by-uuid/" + twinID: "->../../sda1", "/run/udev/data/b8:1": "S:disk/by-uuid/" + twinID + "\n", "/run/udev/data/b8:2": "S:disk/by-uuid/" + twinID + "\n",
		}, nil, "/dev/sda"},
		{"multipath", "root=UUID=" + twinID, multipath, onBoth("UUID=" + twinID), ""},
		{"multipath that answers", "root=UUID=" + twinID, multipath, func(string) []string { return []string{"UUID=" + twinID} }, "/dev/dm-7"},
		{"loop device", "root=UUID=" + twinID, loop, nil, "/dev/sda"},
		{"a path of its own", "sealpart.device=/dev/sda root=UUID=" + twinID, link, onBoth("UUID=" + twinID), "/dev/sda"},
		{"a surer name", "root=PARTLABEL=mine rd.luks.uuid=" + twinID, map[string]string{"/dev/disk/by-partlabel/mine": "->../../sdb1"}, onBoth("UUID=" + twinID), "/dev/sdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := twin(t, c.cmdline, c.files).bootDisk(t.Context(), 0, c.contents)
			if got != c.want || (c.want != "") != (err == nil) || errors.As(err, new(*TwinsError)) {
				t.Errorf("disk %q, error %v", got, err)
			}
		})
	}
}

// TestTwinsBecomeOne: while udev is at work two paths of one disk may not be one yet.
func TestTwinsBecomeOne(t *testing.T) {
	m := twin(t, "root=UUID="+twinID, map[string]string{"/run/udev/queue": "", "/dev/disk/by-uuid/" + twinID: "->../../sda1"})
	looks := 0
	got, err := m.bootDisk(t.Context(), time.Minute, func(disk string) []string {
		if looks++; looks > 4 && disk == "/dev/sdb" {
			return nil
		}
		return []string{"UUID=" + twinID}
	})
	if got != "/dev/sda" || err != nil {
		t.Errorf("disk %q, error %v", got, err)
	}
}

// TestCheckLink: a link that two devices claim may lead to a planted key.
func TestCheckLink(t *testing.T) {
	m := twin(t, "quiet", map[string]string{
		"/run/udev/data/b8:1": "S:disk/by-label/keys\nS:disk/by-path/one\n", "/run/udev/data/b8:17": "S:disk/by-label/keys\n",
		"/dev/disk/by-label/keys": "->../../sda1",
	})
	var twins *TwinsError
	if err := m.checkLink("/dev/disk/by-label/keys"); !errors.As(err, &twins) || errors.Is(err, ErrNoRootDisk) || !slices.Equal(twins.Disks, []string{"/dev/sda1", "/dev/sdb1"}) {
		t.Errorf("error %v", err)
	}
	for _, path := range []string{"/dev/disk/by-path/one", "/dev/sda1", "/etc/keys"} {
		if err := m.checkLink(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
