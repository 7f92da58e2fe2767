package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestCommandLine(t *testing.T) {
	line := parseCommandLine("quiet root=\"PARTLABEL=my root\"  a=1\ta=2 \"two words\" empty= \n")
	want := CommandLine{"quiet", "root=PARTLABEL=my root", "a=1", "a=2", "two words", "empty="}
	if !slices.Equal(line, want) {
		t.Errorf("words are %q", line)
	}
	if v, ok := line.Value("a"); !ok || v != "2" {
		t.Errorf("a is %q", v)
	}
	if v, ok := line.Value("empty"); !ok || v != "" {
		t.Errorf("empty is %q, %v", v, ok)
	}
	if _, ok := line.Value("quiet"); ok {
		t.Error("quiet has a value")
	}
}

// efiString is the content of an EFI variable that holds text.
func efiString(text string) string {
	out := "\x06\x00\x00\x00"
	for _, u := range append(utf16.Encode([]rune(text)), 0) {
		out += string([]byte{byte(u), byte(u >> 8)})
	}
	return out
}

// booting is a machine in an initrd, with udev, on which nothing is mounted.
func booting(t *testing.T, cmdline string, more map[string]string) machine {
	files := disks(more)
	for name, content := range map[string]string{
		"/proc/self/mountinfo": "27 1 0:2 / / rw - rootfs rootfs rw\n", "/etc/initrd-release": "", "/proc/cmdline": cmdline,
		"/run/udev/control": "", "/run/udev/data/b8:0": "", "/run/udev/data/b8:1": "", "/run/udev/data/b104:0": "",
		"/dev/sda": "", "/dev/sda1": "", "/dev/cciss/c0d0": "",
	} {
		if _, ok := files[name]; !ok {
			files[name] = content
		}
	}
	if files["/run/udev/control"] == "-" {
		delete(files, "/run/udev/control")
	}
	return fake(t, files)
}

func TestBootDisk(t *testing.T) {
	const id = "0f5dca74-21d2-4b5b-b2cc-98a5ae2ce5c7"
	loader := "/sys/firmware/efi/efivars/LoaderDevicePartUUID-" + loaderVendor
	for _, c := range []struct {
		name, cmdline string
		files         map[string]string
		want, reason  string
	}{
		{name: "named disk", cmdline: "sealpart.device=/dev/cciss/c0d0 root=/dev/sda1", want: "/dev/cciss/c0d0"},
		{name: "named partition", cmdline: "sealpart.device=/dev/sda1", want: "/dev/sda"},
		{name: "named and absent", cmdline: "sealpart.device=/dev/sdz root=/dev/sda1", reason: "/dev/sdz did not appear"},
		{name: "root node", cmdline: "quiet root=/dev/sda1", want: "/dev/sda"},
		{name: "root label", cmdline: "root=\"LABEL=my root\"", files: map[string]string{`/dev/disk/by-label/my\x20root`: "->../../sda1"}, want: "/dev/sda"},
		{name: "root partition", cmdline: "root=PARTUUID=" + strings.ToUpper(id), files: map[string]string{"/dev/disk/by-partuuid/" + id: "->../../sda1"}, want: "/dev/sda"},
		{name: "mapped root", cmdline: "root=/dev/mapper/root rd.luks.name=" + id + "=root", files: map[string]string{"/dev/disk/by-uuid/" + id: "->../../sda1"}, want: "/dev/sda"},
		{name: "luks uuid", cmdline: "root=/dev/mapper/luks-x rd.luks.uuid=luks-" + id, files: map[string]string{"/dev/disk/by-uuid/" + id: "->../../sda1"}, want: "/dev/sda"},
		{name: "boot loader's disk", cmdline: "quiet", files: map[string]string{loader: efiString(strings.ToUpper(id)), "/dev/disk/by-partuuid/" + id: "->../../sda1"}, want: "/dev/sda"},
		{name: "mounted", cmdline: "root=/dev/sdz", files: map[string]string{"/proc/self/mountinfo": "28 27 8:1 / /sysroot ro - ext4 /dev/x ro\n"}, want: "/dev/sda"},
		{name: "nothing named", cmdline: "root=/dev/mapper/root", reason: "sealpart.device="},
		{name: "network root", cmdline: "root=/dev/nfs", reason: "/dev/nfs did not appear"},
		{name: "udev is not done with the disk", cmdline: "root=/dev/sda2", files: map[string]string{"/dev/sda2": ""}, reason: "did not appear"},
		{name: "without udev", cmdline: "root=/dev/sda2", files: map[string]string{"/dev/sda2": "", "/run/udev/control": "-"}, want: "/dev/sda"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := booting(t, c.cmdline, c.files)
			got, err := m.bootDisk(t.Context(), 0, nil)
			if got != c.want || c.want == "" && (!errors.Is(err, ErrNoRootDisk) || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("disk %q, error %v", got, err)
			}
		})
	}
}

// TestBootDiskWaits: a disk may appear late; waiting ends with the context.
func TestBootDiskWaits(t *testing.T) {
	m := booting(t, "sealpart.device=/dev/late", nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		time.Sleep(3 * pollPause)
		_ = os.Symlink("sda", filepath.Join(string(m), "dev/late"))
	}()
	if got, err := m.bootDisk(ctx, time.Minute, nil); got != "/dev/sda" {
		t.Errorf("disk %q, error %v", got, err)
	}
	os.Remove(m.path("/dev/late"))
	stop := errors.New("stop")
	cancel(stop)
	if _, err := m.bootDisk(ctx, time.Minute, nil); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

// TestBootDiskByContent: where no link tells, what is on the disks does.
func TestBootDiskByContent(t *testing.T) {
	m := booting(t, "rd.luks.uuid=1234", map[string]string{
		"/sys/block/sda": "->../devices/pci/sda", "/sys/block/dm-0": "->../devices/virtual/block/dm-0", "/sys/block/cciss!c0d0": "->../devices/pci/cciss!c0d0",
	})
	var asked []string
	got, err := m.bootDisk(t.Context(), time.Minute, func(disk string) []string {
		asked = append(asked, disk)
		if disk == "/dev/sda" {
			return []string{"UUID=1234"}
		}
		return []string{"UUID=5678"}
	})
	if got != "/dev/sda" || !slices.Equal(asked, []string{"/dev/cciss/c0d0", "/dev/sda"}) {
		t.Errorf("disk %q, asked of %v, error %v", got, asked, err)
	}
}
