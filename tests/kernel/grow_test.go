package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// growable is a file system that the kernel grows back into its volume. All are as small as
// they can be, to be made and to be grown: to encrypt a large one takes this kernel a long time.
type growable struct {
	kind      string
	megabytes int64
	mkfs      []string
	size      []string // program that says how large it is, in units that follow
	expect    *regexp.Regexp
	unit      int64
}

var growables = []growable{
	{"ext4", 32, []string{"mkfs.ext4", "-q", "-b", "4096"}, []string{"dumpe2fs", "-h"}, regexp.MustCompile(`Block count: +(\d+)`), 4096},
	{"btrfs", 244, []string{"mkfs.btrfs", "-q"}, []string{"btrfs", "inspect-internal", "dump-super"}, regexp.MustCompile(`dev_item.total_bytes\s+(\d+)`), 1},
	{"xfs", 64, []string{"mkfs.xfs", "-q", "--unsupported"}, []string{"xfs_db", "-r", "-c", "sb 0", "-c", "p dblocks"}, regexp.MustCompile(`dblocks = (\d+)`), 4096},
}

// TestGrowBack converts file systems under a real kernel, which then makes them as large
// as their volumes. Their own programs judge.
func TestGrowBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := rig.File(t, dir, "key", "a key file")
	defs := filepath.Join(dir, "defs")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, defs, "10-root.toml", "partition = { type = \"root\", weight = 0 }\nencryption = { existing = \"convert\", header_room = \"grow\", key = [{ type = \"file\" }] }\n")
	script := "modprobe -d /run/root -a xfs btrfs\n"
	apply := fmt.Sprintf("%q apply --definitions %q --key-file %q --seed %s $loop", rig.Sealpart(t).Path, defs, key, rig.Seed)
	for _, g := range growables {
		script += fmt.Sprintf("loop=$(losetup -f --show -P %q) && %s && losetup -d $loop", g.image(t, dir), apply) + fmt.Sprintf(judged, g.kind)
	}
	script += fmt.Sprintf(killedWhileGrowing, killedImage(t, dir), apply) + fmt.Sprintf(judged, "killed")
	good, log := boot(t, dir, script)
	if !slices.Contains(good, "killed") {
		t.Errorf("killed: the device that the file system grew on is still there\n%s", log)
	}
	for _, g := range growables {
		if !slices.Contains(good, g.kind) {
			t.Fatalf("%s: apply failed\n%s", g.kind, log)
		}
		g.check(t, dir, key)
	}
}

// killedWhileGrowing is the script of an apply that is killed when it has opened the
// volume to mount it: nothing of that is left, and there is nothing else to do.
const killedWhileGrowing = `
loop=$(losetup -f --show -P %[1]q); mkfifo events; %[2]s --progress json 2>events & exec 3<events; grep -q -m1 '"finished"' <&3
until grown=(/dev/mapper/sealpart-grow-*); [ -e "$grown" ]; do :; done; kill -KILL $!; cat <&3 >said; wait $!; test $? = 137 && ! grep -q "file system grown" said && sleep 1 && [ -z "$(dmsetup ls | grep sealpart)" ] \
	&& [ -z "$(%[2]s)" ] && losetup -d $loop && ! losetup $loop 2>losetup.log`

// killedImage is one more disk for it.
func killedImage(t *testing.T, dir string) string {
	t.Helper()
	g := growables[0]
	g.kind = "killed"
	return g.image(t, dir)
}

// image makes a disk with the file system on its only partition, and room behind it.
func (g growable) image(t *testing.T, dir string) string {
	t.Helper()
	fs := rig.File(t, dir, g.kind+".fs", "")
	image := rig.File(t, dir, g.kind+".img", "")
	for path, megabytes := range map[string]int64{fs: g.megabytes, image: g.megabytes + 40} {
		if err := os.Truncate(path, megabytes<<20); err != nil {
			t.Fatal(err)
		}
	}
	rig.Run(t, testenv.Need(t, g.mkfs[0]), append(g.mkfs[1:], fs)...)
	rig.RunIn(t, fmt.Sprintf("label: gpt\nstart=2048, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", g.megabytes*2048), "sfdisk", "-q", image)
	rig.Run(t, "dd", "if="+fs, "of="+image, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
	return image
}

// check demands that the file system is as large as its volume, and sound.
func (g growable) check(t *testing.T, dir, key string) {
	t.Helper()
	plain, image := filepath.Join(dir, g.kind+".plain"), filepath.Join(dir, g.kind+".img")
	rig.Must(t, "export", "--key-file", key, image+"#root", plain)
	info, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	found := g.expect.FindStringSubmatch(rig.Run(t, testenv.Need(t, g.size[0]), append(g.size[1:], plain)...))
	if found == nil {
		t.Fatalf("%s does not say how large the file system is", g.size[0])
	}
	if n, err := strconv.ParseInt(found[1], 10, 64); err != nil || n*g.unit != info.Size() || info.Size() <= g.megabytes<<20 {
		t.Errorf("%s: a file system of %d bytes on a volume of %d, after one of %d (%v)", g.kind, n*g.unit, info.Size(), g.megabytes<<20, err)
	}
	judges := map[string][]string{"ext4": {"e2fsck", "-fn"}, "btrfs": {"btrfs", "check"}, "xfs": {"xfs_repair", "-n"}}
	rig.Run(t, judges[g.kind][0], append(judges[g.kind][1:], plain)...)
}
