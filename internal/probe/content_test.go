package probe

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// made is every kind of content that a tool on this machine can make.
var made = []struct {
	kind    string // what blkid calls it, so that the case cannot test something else
	size    disk.Bytes
	command string // IMG stands for the image, DATA for another of 1 MiB
}{
	{"ext2", 16 * disk.MiB, "mke2fs -q -F -t ext2 -L e2 IMG"},
	{"ext3", 16 * disk.MiB, "mke2fs -q -F -t ext3 IMG"},
	{"ext4", 16 * disk.MiB, "mke2fs -q -F -t ext4 -L a-long-label-16b -b 1024 IMG"},
	{"ext4", 64 * disk.MiB, "mke2fs -q -F -t ext4 -b 4096 -O ^64bit IMG"},
	{"ext4", 16 * disk.MiB, "mke2fs -q -F -t ext4 -O ^has_journal IMG"},
	{"ext4", 16 * disk.MiB, "mke2fs -q -F -t ext4 -O metadata_csum_seed,bigalloc IMG"},
	{"ext4", 16 * disk.MiB, "mke2fs -q -F -t ext2 -O extent IMG"},
	{"jbd", 16 * disk.MiB, "mke2fs -q -F -O journal_dev IMG"},
	{"xfs", 310 * disk.MiB, "mkfs.xfs -q -L xfslabel IMG"},
	{"xfs", 310 * disk.MiB, "mkfs.xfs -q -s size=4096 -m crc=0,rmapbt=0,reflink=0,bigtime=0,inobtcount=0,finobt=0 IMG"},
	{"btrfs", 128 * disk.MiB, "mkfs.btrfs -q -L butter IMG"},
	{"btrfs", 128 * disk.MiB, "mkfs.btrfs -q --csum sha256 IMG"},
	{"vfat", 4 * disk.MiB, "mkfs.vfat -F 12 -n HELLO IMG"},
	{"vfat", 32 * disk.MiB, "mkfs.vfat -F 16 -n SIXTEEN IMG"},
	{"vfat", 64 * disk.MiB, "mkfs.vfat -F 32 -n ESP IMG"},
	{"vfat", 64 * disk.MiB, "mkfs.vfat -F 32 -S 4096 -s 1 IMG"},
	{"vfat", 64 * disk.MiB, "mkfs.vfat -F 32 IMG"},
	{"f2fs", 64 * disk.MiB, "mkfs.f2fs -q -l flash IMG"},
	{"swap", 1 * disk.MiB, "mkswap -q -L swapping IMG"},
	{"swap", 1 * disk.MiB, "mkswap -q -p 65536 IMG"},
	{"squashfs", 0, "mksquashfs TREE IMG -noappend -quiet -no-progress"},
	{"erofs", 0, "mkfs.erofs --quiet IMG TREE"},
	{"DM_verity_hash", 0, "veritysetup format --salt=00ff DATA IMG"},
	{"crypto_LUKS", 32 * disk.MiB, "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --key-file KEY IMG"},
	{"crypto_LUKS", 32 * disk.MiB, "cryptsetup luksFormat -q --type luks2 --label lab --subsystem sub --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file KEY IMG"},
}

// TestMade: blkid and we say the same of everything that real tools make.
func TestMade(t *testing.T) {
	for _, c := range made {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			path := mkfs(t, c.size, c.command)
			got := judged(t, path)
			if got.Kind != c.kind {
				t.Errorf("kind is %q", got.Kind)
			}
			if got.Problem != "" || got.Unclean || got.Ambiguous != nil {
				t.Errorf("fresh, and yet %+v", got)
			}
			info, _ := os.Stat(path)
			if c.kind != "squashfs" && c.kind != "erofs" && (int64(got.Size) > info.Size() || got.Size != 0 && int64(got.Size) < info.Size()*9/10) {
				t.Errorf("size %d of a device of %d", got.Size, info.Size())
			}
		})
	}
}

// mkfs runs a command on a new image and returns its path.
func mkfs(t testing.TB, size disk.Bytes, command string) string {
	dir := t.TempDir()
	path, key, data, tree := filepath.Join(dir, "img"), filepath.Join(dir, "key"), filepath.Join(dir, "data"), filepath.Join(dir, "tree")
	err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, int64(size)), os.WriteFile(key, []byte("secret"), 0o600),
		os.WriteFile(data, nil, 0o600), os.Truncate(data, 1<<20),
		os.Mkdir(tree, 0o755), os.WriteFile(filepath.Join(tree, "file"), []byte("content"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.NewReplacer("IMG", path, "KEY", key, "DATA", data, "TREE", tree).Replace(command))
	if out, err := exec.Command(testenv.Need(t, args[0]), args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return path
}

// probed returns what we say of an image.
func probed(t testing.TB, path string) disk.Content {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, _ := file.Stat()
	c, err := Content(file, disk.Bytes(info.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judged returns what we say of an image, after comparing it with what blkid says.
func judged(t testing.TB, path string) disk.Content {
	t.Helper()
	c := probed(t, path)
	out, err := exec.Command(testenv.Need(t, "blkid"), "-p", "-o", "export", path).Output()
	if err != nil {
		t.Fatalf("blkid: %v", err)
	}
	tags := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		tags[name] = strings.ReplaceAll(value, "\\", "") // blkid quotes blanks for a shell
	}
	if tags["LOGUUID"] != "" { // of an ext journal
		tags["UUID"] = tags["LOGUUID"]
	}
	for name, ours := range map[string]string{"TYPE": c.Kind, "LABEL": c.Label, "UUID": c.UUID, "VERSION": c.Version} {
		if name == "TYPE" && tags["TYPE"] == "" {
			name = "PTTYPE"
		}
		if tags[name] != ours {
			t.Errorf("%s: blkid says %q, we %q", name, tags[name], ours)
		}
	}
	if size := tags["BLOCK_SIZE"]; size != "" && bytesOf(t, size) != c.BlockSize {
		t.Errorf("BLOCK_SIZE: blkid says %s, we %d", size, c.BlockSize)
	}
	return c
}

func bytesOf(t testing.TB, number string) disk.Bytes {
	t.Helper()
	n, err := disk.ParseBytes(number)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// graft copies size bytes at offset of one image to a place in another, or in itself.
func graft(t *testing.T, to string, at int64, from string, offset, size int64) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	data := make([]byte, size)
	if _, err := source.ReadAt(data, offset); err != nil {
		t.Fatal(err)
	}
	patch(t, to, at, data)
}

// patch overwrites bytes of an image.
func patch(t testing.TB, path string, offset int64, data []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
}

// TestAmbiguous: where blkid calls the content ambivalent, we name both.
func TestAmbiguous(t *testing.T) {
	btrfs := mkfs(t, 128*disk.MiB, "mkfs.btrfs -q IMG")
	path := mkfs(t, 128*disk.MiB, "mke2fs -q -F -t ext4 IMG")
	graft(t, path, 64<<10, btrfs, 64<<10, 4096)
	var exit *exec.ExitError
	if _, err := exec.Command(testenv.Need(t, "blkid"), "-p", path).Output(); !errors.As(err, &exit) || exit.ExitCode() != 8 {
		t.Fatalf("blkid does not call this ambivalent: %v", err)
	}
	if c := probed(t, path); c.Kind != "ext4" || len(c.Ambiguous) != 1 || c.Ambiguous[0] != "btrfs" {
		t.Errorf("content is %+v", c)
	}
	swap := mkfs(t, disk.MiB, "mkswap -q IMG")
	fat := mkfs(t, disk.MiB, "mkfs.vfat -F 12 IMG")
	graft(t, swap, 0, fat, 0, 512)
	if c := probed(t, swap); c.Kind != "vfat" || len(c.Ambiguous) != 1 || c.Ambiguous[0] != "swap" {
		t.Errorf("content is %+v", c)
	}
}

// TestContainerHidesContent: what lies inside a container is not its content.
func TestContainerHidesContent(t *testing.T) {
	path := mkfs(t, 32*disk.MiB, "mke2fs -q -F -t ext4 IMG")
	luks := mkfs(t, 32*disk.MiB, "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --key-file KEY IMG")
	graft(t, path, 0, luks, 0, 592)
	if c := judged(t, path); c.Kind != "crypto_LUKS" || c.Ambiguous != nil {
		t.Errorf("content is %+v", c)
	}
}

// TestUnclean: each mark of a file system that was not unmounted.
func TestUnclean(t *testing.T) {
	for _, c := range []struct {
		name, command string
		offset        int64
		data          string
	}{
		{"ext state", "mke2fs -q -F -t ext2 IMG", 1024 + 58, "\x00"},
		{"ext errors", "mke2fs -q -F -t ext2 IMG", 1024 + 58, "\x03"},
		{"ext journal", "mke2fs -q -F -t ext3 IMG", 1024 + 96, "\x06"},
		{"fat12", "mkfs.vfat -F 12 IMG", 37, "\x01"},
		{"fat32", "mkfs.vfat -F 32 IMG", 65, "\x01"},
	} {
		path := mkfs(t, 40*disk.MiB, strings.Replace(c.command, "-F 12", "-F 12 -s 64", 1))
		if probed(t, path).Unclean {
			t.Errorf("%s: a fresh one is unclean", c.name)
		}
		patch(t, path, c.offset, []byte(c.data))
		if !judged(t, path).Unclean {
			t.Errorf("%s: it is clean", c.name)
		}
	}
}

// TestDamaged: a superblock that is there but wrong has a Problem; the partition
// is not taken for an empty one.
func TestDamaged(t *testing.T) {
	for _, c := range []struct {
		kind, command string
		offset        int64
	}{
		{"ext4", "mke2fs -q -F -t ext4 -O metadata_csum IMG", 1024 + 120},
		{"xfs", "mkfs.xfs -q IMG", 108},
		{"btrfs", "mkfs.btrfs -q IMG", 65536 + 299},
	} {
		path := mkfs(t, 310*disk.MiB, c.command)
		patch(t, path, c.offset, []byte("X"))
		if got := probed(t, path); got.Kind != c.kind || got.Problem != badChecksum || got.Size != 0 {
			t.Errorf("%s: content is %+v", c.kind, got)
		}
	}
}

// TestFree: free bytes are those that dumpe2fs counts.
func TestFree(t *testing.T) {
	path := mkfs(t, 64*disk.MiB, "mke2fs -q -F -t ext4 -b 1024 IMG")
	out, err := exec.Command(testenv.Need(t, "dumpe2fs"), "-h", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), "\nFree blocks:")
	want := bytesOf(t, strings.Fields(rest)[0]) * 1024
	if got := probed(t, path).Free; got != want {
		t.Errorf("free %d, dumpe2fs says %d", got, want)
	}
}

// TestTableInside: a partition table where a file system was expected.
func TestTableInside(t *testing.T) {
	for _, kind := range []string{"gpt", "dos"} {
		path := mkfs(t, 8*disk.MiB, "true")
		sfdisk := exec.Command(testenv.Need(t, "sfdisk"), "-q", path)
		sfdisk.Stdin = strings.NewReader("label: " + kind + "\nsize=1MiB\n")
		if out, err := sfdisk.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s", err, out)
		}
		if c := probed(t, path); c.Kind != kind {
			t.Errorf("content is %+v", c)
		}
	}
}

// TestNothing: neither zeros nor noise nor the shortest devices are content.
func TestNothing(t *testing.T) {
	noise := make([]byte, 200<<10)
	for n := range noise {
		noise[n] = byte(n * n >> 3)
	}
	for _, img := range [][]byte{nil, {0}, make([]byte, 511), make([]byte, 1<<20), noise} {
		if c, err := Content(bytes.NewReader(img), disk.Bytes(len(img))); err != nil || c.Kind != "" {
			t.Errorf("%d bytes: %+v, %v", len(img), c, err)
		}
	}
}

// broken fails to read one sector.
type broken struct {
	io.ReaderAt
	at int64
}

var errBroken = errors.New("broken")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off < b.at+512 && off+int64(len(p)) > b.at {
		return 0, errBroken
	}
	return b.ReaderAt.ReadAt(p, off)
}

// TestReadError: a device that cannot be read is not an empty one, whichever of its
// sectors it is and whatever the others hold.
func TestReadError(t *testing.T) {
	for _, c := range handmade {
		head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
		c.fill(head, tail)
		for at := int64(0); at < headSize; at += 512 {
			r := broken{&hostile{t: t, head: head, tail: tail, size: device}, at}
			if _, err := Content(r, device); !errors.Is(err, errBroken) {
				t.Errorf("%s: error is %v where byte %d cannot be read", c.name, err, at)
			}
		}
	}
}
