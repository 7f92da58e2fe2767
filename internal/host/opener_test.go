package host

import (
	"os"
	"testing"
)

// Who opens volumes later is told by the tree that is started then; of what cannot be told
// nothing is made up.
func TestOpener(t *testing.T) {
	const cryptsetup = "/usr/lib/systemd/systemd-cryptsetup"
	initramfs := map[string]string{"/proc/mounts": "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n"}
	with := func(files map[string]string, names ...string) map[string]string {
		all := map[string]string{}
		for name, content := range files {
			all[name] = content
		}
		for _, name := range names {
			all[name] = ""
		}
		return all
	}
	disk := map[string]string{"/proc/mounts": "rootfs / rootfs rw 0 0\n/dev/vda2 / ext4 rw 0 0\n"}
	for name, c := range map[string]struct {
		files map[string]string
		want  Opener
	}{
		"Debian 12":         {with(disk, "/lib/systemd/systemd-cryptsetup", "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so"), Opener{Name: OpenerSystemd, Version: 252}},
		"Fedora":            {with(disk, "/usr/bin/systemd-cryptsetup", "/usr/lib64/systemd/libsystemd-shared-258.3-1.fc43.so"), Opener{Name: OpenerSystemd, Version: 258}},
		"two versions":      {with(disk, cryptsetup, "/usr/lib/systemd/libsystemd-shared-257.so", "/usr/lib/systemd/libsystemd-shared-99.so"), Opener{Name: OpenerSystemd, Version: 99}},
		"no version":        {with(disk, cryptsetup), Opener{Name: OpenerSystemd}},
		"no systemd":        {disk, Opener{Name: OpenerSealpart}},
		"busybox initramfs": {initramfs, Opener{Name: OpenerSealpart, Initramfs: true}},
		"initrd of systemd": {with(initramfs, cryptsetup, "/etc/initrd-release", "/usr/lib/systemd/libsystemd-shared-255.4.so"), Opener{Name: OpenerSystemd, Version: 255, Initramfs: true}},
		"cryptsetup alone":  {with(nil, "/conf/initramfs.conf", "/usr/lib/x86_64-linux-gnu/cryptsetup/libcryptsetup-token-systemd-tpm2.so", "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so"), Opener{Name: OpenerSystemd, Version: 252, Initramfs: true}},
		"initramfs-tools":   {with(nil, "/conf/initramfs.conf"), Opener{Name: OpenerSealpart, Initramfs: true}},
	} {
		m := fake(t, c.files)
		if got := m.opener(string(m)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	here := fake(t, with(initramfs, cryptsetup, "/usr/lib/systemd/libsystemd-shared-257.so"))
	for name, c := range map[string]struct {
		files map[string]string
		want  Opener
	}{
		"an image with sealpart":    {with(nil, "/usr/bin/sealpart"), Opener{Name: OpenerSealpart}},
		"an image without either":   {with(nil, "/usr/bin/true"), Opener{}},
		"an image with old systemd": {with(nil, "/usr/bin/sealpart", cryptsetup, "/usr/lib/systemd/libsystemd-shared-250.so"), Opener{Name: OpenerSystemd, Version: 250}},
	} {
		if got := here.opener(string(fake(t, c.files))); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestOpenerOfATree: links of an image lead to what is in the image. Its libraries are not
// those that this machine happens to have at the same place.
func TestOpenerOfATree(t *testing.T) {
	outside := fake(t, map[string]string{"/systemd/libsystemd-shared-252.so": "", "/cryptsetup/libcryptsetup-token-systemd-tpm2.so": ""})
	image := fake(t, map[string]string{"/usr/bin/sealpart": "", "/usr/lib/none": "", "/real/systemd/libsystemd-shared-257.so": ""})
	here := fake(t, nil)
	link := func(to string) {
		t.Helper()
		_ = os.Remove(image.path("/lib"))
		if err := os.Symlink(to, image.path("/lib")); err != nil {
			t.Fatal(err)
		}
	}
	link(string(outside))
	if got, want := here.opener(string(image)), (Opener{Name: OpenerSealpart}); got != want {
		t.Errorf("by a link out of the image: %+v, want %+v", got, want)
	}
	link("/real")
	if got := image.systemdVersion(); got != 257 {
		t.Errorf("by an absolute link in the image: version %d, want 257", got)
	}
}

func TestOpensNewest(t *testing.T) {
	for _, c := range []struct {
		o         Opener
		pin, root bool
		want      bool
	}{
		{Opener{}, false, true, false},
		{Opener{Name: OpenerSealpart}, true, false, true},
		{Opener{Name: OpenerSealpart, Initramfs: true}, true, true, true},
		{Opener{Name: OpenerSealpart, Initramfs: true}, false, false, false},
		{Opener{Name: OpenerSystemd, Version: 253}, false, true, false},
		{Opener{Name: OpenerSystemd, Version: 254}, false, true, true},
		{Opener{Name: OpenerSystemd, Version: 261}, true, true, false},
		{Opener{Name: OpenerSystemd, Version: 262}, true, true, true},
		{Opener{Name: OpenerSystemd}, false, true, false},
	} {
		if got := c.o.OpensNewest(c.pin, c.root); got != c.want {
			t.Errorf("%+v, PIN %v, root %v: %v", c.o, c.pin, c.root, got)
		}
	}
}
