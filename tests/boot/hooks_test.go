package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// What can be seen of the hooks without a boot: that a shell can read them, what is installed, and
// in which order they do what with the functions of their generator, of which stubs keep a trace.

const hooks = "../../initramfs/"

// TestHookSyntax: the shell that runs a script can read it.
func TestHookSyntax(t *testing.T) {
	t.Parallel()
	for script, shell := range map[string]string{
		"busybox/init": "busybox sh", "mkinitcpio/hooks/sealpart": "busybox sh", "mkinitcpio/install/sealpart": "bash",
		"dracut/90sealpart/module-setup.sh": "bash", "initramfs-tools/hooks/sealpart": "sh", "initramfs-tools/cryptsetup/sealpart": "sh",
		"initramfs-tools/scripts/local-top/sealpart": "busybox sh", "initramfs-tools/scripts/local-bottom/sealpart": "busybox sh",
	} {
		testenv.Need(t, strings.Fields(shell)[0])
		rig.Run(t, "sh", "-c", shell+" -n "+hooks+script)
	}
}

// TestInstalled: "make install" puts everything where its initramfs looks for it.
func TestInstalled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rig.File(t, dir, "sealpart", "the program")
	rig.Run(t, "make", "-s", "-C", "../..", "-o", "build", "install", "DESTDIR="+dir+"/root", "BUILD="+dir)
	got := strings.Fields(rig.Run(t, "sh", "-c", "cd "+dir+"/root && find . -type f -printf '%m:%P\n' | LC_ALL=C sort -t: -k2"))
	want := []string{
		"755:usr/bin/sealpart",
		"755:usr/lib/cryptsetup/scripts/sealpart",
		"644:usr/lib/dracut/modules.d/90sealpart/device-timeout.conf",
		"755:usr/lib/dracut/modules.d/90sealpart/module-setup.sh",
		"644:usr/lib/initcpio/hooks/sealpart",
		"644:usr/lib/initcpio/install/sealpart",
		"644:usr/lib/sealpart/device-timeout.conf",
		"644:usr/lib/systemd/system/sealpart.service",
		"644:usr/lib/systemd/system/systemd-cryptsetup@.service.d/sealpart.conf",
		"755:usr/share/initramfs-tools/hooks/sealpart",
		"755:usr/share/initramfs-tools/scripts/local-bottom/sealpart",
		"755:usr/share/initramfs-tools/scripts/local-top/sealpart",
	}
	if !slices.Equal(got, want) {
		t.Errorf("installed are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// stubs are functions that leave their names in a trace; sealpart ends with one exit code of
// $codes after the other.
const stubs = `
for name in add_binary add_module add_all_modules add_file add_symlink add_systemd_unit add_runscript wait_for_udev udevadm panic launch_interactive_shell sleep; do
	eval "$name() { echo $name \"\$@\" >>trace; }"
done
map() { f=$1; shift; for x in "$@"; do "$f" "$x"; done; }
error() { echo "error: $*" >>trace; }
sealpart() { echo "sealpart $*" >>trace; [ "$1" = apply ] || return 0; code=${codes%% *}; codes=${codes#* }; return "$code"; }
`

// traced runs a script behind the stubs and returns their trace, without sleeps.
func traced(t *testing.T, shell, script string) []string {
	t.Helper()
	dir := t.TempDir()
	rig.Run(t, "sh", "-c", fmt.Sprintf("cd %s; %s %s; echo status $? >>trace", dir, shell, rig.File(t, dir, "script", stubs+script)))
	trace, err := os.ReadFile(filepath.Join(dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(trace)), "\n"), func(s string) bool { return strings.HasPrefix(s, "sleep") })
}

// script reads one of ours.
func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(hooks + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blockDevice is any that this machine has.
func blockDevice(t *testing.T) string {
	t.Helper()
	nodes, _ := filepath.Glob("/dev/*")
	for _, node := range nodes {
		if info, err := os.Stat(node); err == nil && info.Mode().Type() == os.ModeDevice {
			return node
		}
	}
	t.Skip("there is no block device here")
	return ""
}

// TestInitramfsToolsOrder: a resume comes first where its swap can be seen, and after work udev
// is waited for; a failure is tried again when somebody leaves the shell, and never gone past.
func TestInitramfsToolsOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rig.File(t, dir, "functions", "resolve_device() { echo \"$1\"; }\n")
	put(t, dir, "local-premount/resume", "#!/bin/sh\necho resume >>trace\n")
	if err := os.Chmod(filepath.Join(dir, "local-premount/resume"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(script(t, "initramfs-tools/scripts/local-top/sealpart"), "/scripts/", dir+"/")
	const udev, apply, panics = "wait_for_udev 10", "sealpart apply --boot", "panic sealpart: the disk is not as it must be. Leave this shell to try again."
	device := blockDevice(t)
	for _, tt := range []struct {
		name, set string
		want      []string
	}{
		{"done", "codes='0 '", []string{udev, apply, udev, "status 0"}},
		{"nothing written", "codes='6 '", []string{udev, apply, udev, "status 0"}},
		{"tried again", "codes='76 1 0 '", []string{udev, apply, udev, panics, apply, udev, panics, apply, udev, "status 0"}},
		{"resumes", "codes='0 ' resume=" + device, []string{udev, "resume", apply, udev, "status 0"}},
		{"resumes later", "codes='0 ' resume=/dev/mapper/nosuch", []string{udev, apply, udev, "status 0"}},
		{"does not resume", "codes='0 ' noresume=y resume=" + device, []string{udev, apply, udev, "status 0"}},
	} {
		if got := traced(t, "busybox sh", tt.set+"\n"+text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: the trace is %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestInitramfsToolsRunList: by the generator's own sorting ours comes behind what makes a disk
// of others, and before what opens the root.
func TestInitramfsToolsRunList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sealpart": script(t, "initramfs-tools/scripts/local-top/sealpart"),
		// What these say of themselves in their packages, cryptroot of all others that are there.
		"multipath": "#!/bin/sh\necho udev iscsi\n", "iscsi": "#!/bin/sh\n", "zz": "#!/bin/sh\necho sealpart\n",
		"cryptroot": "#!/bin/sh\necho sealpart multipath iscsi zz\n",
	} {
		put(t, dir, "local-top/"+name, text)
		if err := os.Chmod(filepath.Join(dir, "local-top", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Need(t, "mkinitramfs")
	rig.Run(t, "sh", "-c", "CONFDIR="+dir+"; . /usr/share/initramfs-tools/hook-functions; cache_run_scripts "+dir+" /local-top")
	order, err := os.ReadFile(filepath.Join(dir, "local-top/ORDER"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(order)) {
		if name, ok := strings.CutPrefix(line, "/local-top/"); ok {
			got = append(got, strings.Fields(name)[0])
		}
	}
	if want := []string{"iscsi", "multipath", "sealpart", "zz", "cryptroot"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
}

// TestMkinitcpioHook is the same of mkinitcpio's, whose own hook resumes.
func TestMkinitcpioHook(t *testing.T) {
	t.Parallel()
	const udev, apply, shell = "udevadm settle", "sealpart apply --boot", "launch_interactive_shell"
	for _, tt := range []struct {
		codes string
		want  []string
	}{
		{"0", []string{apply, udev, "sealpart settle", "status 0"}},
		{"6", []string{apply, udev, "sealpart settle", "status 0"}},
		{"76 1 0", []string{apply, udev, shell, apply, udev, shell, apply, udev, "sealpart settle", "status 0"}},
	} {
		got := traced(t, "busybox sh", script(t, "mkinitcpio/hooks/sealpart")+"\ncodes='"+tt.codes+" '\nrun_hook && run_latehook\n")
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: the trace is %q, want %q", tt.codes, got, tt.want)
		}
	}
}

// TestMkinitcpioImage: what goes into the image, by systemd's hooks and without; an order of
// hooks in which ours would come too early or too late is an error.
func TestMkinitcpioImage(t *testing.T) {
	t.Parallel()
	image := func(hooks, before string) []string {
		return traced(t, "bash", script(t, "mkinitcpio/install/sealpart")+"\nBUILDROOT=$PWD; HOOKS=("+hooks+")\n"+before+"\nbuild\n")
	}
	for hooks, want := range map[string]string{
		"base udev block resume sealpart encrypt filesystems": "",
		"base udev block sealpart encrypt resume filesystems": "",
		"base udev block sealpart filesystems":                "",
		"base udev block encrypt filesystems":                 "", // ours is added on the command line
		"base udev sealpart block encrypt":                    "HOOKS: sealpart has to stand behind block",
		"base udev block encrypt sealpart":                    "HOOKS: sealpart has to stand before encrypt",
		"base udev block sealpart resume encrypt":             "HOOKS: sealpart has to stand behind resume, or resume behind encrypt",
		"base udev block sealpart resume":                     "HOOKS: sealpart has to stand behind resume, or resume behind encrypt",
	} {
		got := image(hooks, "")
		if !slices.Contains(got, "add_runscript") {
			t.Errorf("%s: %q has no script", hooks, got)
		}
		last := []string{got[len(got)-2], got[len(got)-1]}
		if want != "" && !slices.Equal(last, []string{"error: " + want, "status 1"}) || want == "" && last[1] != "status 0" {
			t.Errorf("%s: ends with %q, want the error %q", hooks, last, want)
		}
	}
	got := image("base systemd block sealpart sd-encrypt", "mkdir -p usr/lib/systemd; : >usr/lib/systemd/systemd")
	for _, want := range []string{
		"add_binary sealpart /usr/bin/sealpart", "add_systemd_unit sealpart.service", "add_binary udevadm", "add_binary systemctl", "add_module loop", "add_module dm-crypt",
		"add_file /usr/lib/sealpart/device-timeout.conf /usr/lib/systemd/system/device.d/sealpart.conf",
		"add_symlink /usr/lib/systemd/system/initrd-root-device.target.wants/sealpart.service ../sealpart.service",
		"add_file /usr/lib/systemd/system/systemd-cryptsetup@.service.d/sealpart.conf", "status 0",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("with systemd: %q lacks %q", got, want)
		}
	}
}

// TestDracutMasks: a link to /dev/null masks another definition in the initramfs as well.
func TestDracutMasks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "sealpart.d/20-data.toml", convertRoot)
	put(t, dir, "sealpart.d/30-swap.toml.d/size.toml", convertRoot)
	if err := os.Symlink("/dev/null", filepath.Join(dir, "sealpart.d/10-root.toml")); err != nil {
		t.Fatal(err)
	}
	testenv.Need(t, "dracut")
	rig.Run(t, "bash", "-ec", fmt.Sprintf(`initdir=%[1]s/image; mkdir -p $initdir/lib/dracut
inst_multiple() { /usr/lib/dracut/dracut-install -D $initdir -a -H "$@"; }
. %[2]sdracut/90sealpart/module-setup.sh
sealpart_definitions %[1]s/sealpart.d`, dir, hooks))
	image := filepath.Join(dir, "image", dir, "sealpart.d")
	if target, err := os.Readlink(filepath.Join(image, "10-root.toml")); target != "/dev/null" {
		t.Errorf("the mask leads to %q: %v", target, err)
	}
	for _, name := range []string{"20-data.toml", "30-swap.toml.d/size.toml"} {
		if text, err := os.ReadFile(filepath.Join(image, name)); string(text) != convertRoot {
			t.Errorf("%s: %v", name, err)
		}
	}
}
