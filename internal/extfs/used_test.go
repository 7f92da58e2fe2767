package extfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// An image is a way to make a file system: mke2fs's options, and what happens to
// it afterwards.
type image struct {
	name    string
	options string
	size    disk.Bytes
	grown   disk.Bytes // resize2fs to this size, 0: not
	fill    bool       // with files, some of them removed again
	uninit  bool       // the case is about groups without a bitmap: there must be some
}

var images = []image{
	{name: "ext2", options: "-t ext2", size: 64 * disk.MiB, fill: true},
	{name: "ext3 1k", options: "-t ext3 -b 1024", size: 64 * disk.MiB, fill: true},
	{name: "ext4", options: "-t ext4", size: 600 * disk.MiB, fill: true, uninit: true},
	{name: "ext4 4k", options: "-t ext4 -b 4096", size: 1000 * disk.MiB, fill: true, uninit: true},
	{name: "ext4 1k", options: "-t ext4 -b 1024", size: 300 * disk.MiB, fill: true, uninit: true},
	{name: "ext4 2k", options: "-t ext4 -b 2048", size: 300 * disk.MiB, fill: true, uninit: true},
	{name: "no flex", options: "-t ext4 -b 1024 -O ^flex_bg", size: 200 * disk.MiB, fill: true, uninit: true},
	{name: "flex 2", options: "-t ext4 -b 1024 -G 2", size: 200 * disk.MiB, fill: true, uninit: true},
	{name: "flex 64", options: "-t ext4 -b 1024 -G 64", size: 700 * disk.MiB, uninit: true},
	{name: "uninit_bg", options: "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", size: 200 * disk.MiB, fill: true, uninit: true},
	{name: "uninit_bg no flex 32 bit", options: "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit,^flex_bg", size: 200 * disk.MiB, uninit: true},
	{name: "no checksums", options: "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg", size: 200 * disk.MiB, fill: true},
	{name: "32 bit", options: "-t ext4 -O ^64bit", size: 300 * disk.MiB, fill: true, uninit: true},
	{name: "csum seed", options: "-t ext4 -O metadata_csum_seed", size: 300 * disk.MiB, fill: true},
	{name: "bigalloc", options: "-t ext4 -O bigalloc", size: 600 * disk.MiB, fill: true},
	{name: "bigalloc 4k", options: "-t ext4 -O bigalloc -b 4096 -C 65536", size: 9000 * disk.MiB, fill: true, uninit: true},
	{name: "bigalloc 1k", options: "-t ext4 -O bigalloc -b 1024 -C 8192", size: 900 * disk.MiB, fill: true, uninit: true},
	{name: "bigalloc no flex", options: "-t ext4 -O bigalloc,^flex_bg,^resize_inode -b 1024 -C 4096", size: 700 * disk.MiB, uninit: true},
	{name: "meta_bg", options: "-t ext4 -b 1024 -O meta_bg,^resize_inode", size: 900 * disk.MiB, fill: true, uninit: true},
	{name: "meta_bg no flex", options: "-t ext4 -b 1024 -O meta_bg,^resize_inode,^flex_bg", size: 900 * disk.MiB, uninit: true},
	{name: "meta_bg 4k", options: "-t ext4 -b 4096 -O meta_bg,^resize_inode", size: 20000 * disk.MiB, uninit: true},
	{name: "meta_bg sparse_super2", options: "-t ext4 -b 1024 -O meta_bg,^resize_inode,sparse_super2,^flex_bg", size: 900 * disk.MiB, uninit: true},
	{name: "sparse_super2", options: "-t ext4 -b 1024 -O sparse_super2,^resize_inode,^flex_bg", size: 300 * disk.MiB, fill: true, uninit: true},
	{name: "one backup", options: "-t ext4 -b 1024 -O sparse_super2,^resize_inode,^flex_bg -E num_backup_sb=1", size: 300 * disk.MiB, uninit: true},
	{name: "every superblock", options: "-t ext4 -b 1024 -O ^sparse_super,^flex_bg,^resize_inode", size: 200 * disk.MiB, uninit: true},
	{name: "small groups", options: "-t ext4 -b 1024 -g 256 -N 64", size: 20 * disk.MiB, fill: true},
	{name: "odd tail", options: "-t ext4 -b 1024", size: 100*disk.MiB + 341*disk.KiB, fill: true},
	{name: "odd tail bigalloc", options: "-t ext4 -b 1024 -O bigalloc -C 16384", size: 100*disk.MiB + 341*disk.KiB, fill: true},
	{name: "no journal", options: "-t ext4 -O ^has_journal", size: 100 * disk.MiB, fill: true},
	{name: "128 byte inodes", options: "-t ext4 -I 128 -b 1024", size: 100 * disk.MiB},
	{name: "inline data", options: "-t ext4 -O inline_data,ea_inode,quota,project,mmp,casefold,encrypt,verity", size: 100 * disk.MiB, fill: true},
	{name: "orphan file", options: "-t ext4 -O orphan_file,fast_commit", size: 100 * disk.MiB, fill: true},
	{name: "64k", options: "-t ext4 -b 65536 -F", size: 200 * disk.MiB, fill: true},
	{name: "grown", options: "-t ext4 -b 1024", size: 60 * disk.MiB, grown: 500 * disk.MiB, fill: true},
	{name: "grown far", options: "-t ext4 -b 1024 -E resize=20000", size: 16 * disk.MiB, grown: 700 * disk.MiB, fill: true},
	{name: "grown meta_bg", options: "-t ext4 -b 1024 -O meta_bg,^resize_inode", size: 100 * disk.MiB, grown: 700 * disk.MiB, fill: true},
	{name: "shrunk", options: "-t ext4 -b 1024", size: 400 * disk.MiB, grown: 150 * disk.MiB, fill: true},
	{name: "grown bigalloc", options: "-t ext4 -b 1024 -O bigalloc,^resize_inode,meta_bg -C 4096", size: 100 * disk.MiB, grown: 300 * disk.MiB, fill: true},
	{name: "grown 32 bit", options: "-t ext3 -b 4096", size: 100 * disk.MiB, grown: 500 * disk.MiB, fill: true},
}

// TestUsed: dumpe2fs and we agree on every block, whatever the features.
func TestUsed(t *testing.T) {
	for _, tool := range []string{"mke2fs", "dumpe2fs", "debugfs", "resize2fs", "e2fsck"} {
		testenv.Need(t, tool)
	}
	files := someFiles(t)
	for _, i := range images {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			path := i.make(t, files)
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, _ := file.Stat()
			fs, err := Open(file, disk.Bytes(info.Size()))
			if err != nil {
				t.Fatal(err)
			}
			want, uninit := judge(t, path, fs)
			if i.uninit && !uninit {
				t.Error("mke2fs made no group without a bitmap: the case tests nothing")
			}
			var got []disk.Extent
			if err := fs.Used(func(e disk.Extent) error { got = append(got, e); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("used extents differ (-dumpe2fs +ours):\n%s", diff)
			}
		})
	}
}

// someFiles makes a folder of files whose sizes fill and straddle blocks.
func someFiles(t *testing.T) string {
	dir := t.TempDir()
	random := rand.New(rand.NewSource(1))
	for n := range 60 {
		size := random.Intn(1 << (8 + n%11))
		data := make([]byte, size)
		random.Read(data)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d", n)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// make makes the file system and returns the path of its image.
func (i image) make(t *testing.T, files string) string {
	path := filepath.Join(t.TempDir(), "ext.img")
	truncate(t, path, max(i.size, i.grown))
	args := append(strings.Fields(i.options), "-q", "-F")
	if i.fill {
		args = append(args, "-d", files)
	}
	run(t, "mke2fs", append(args, path, fmt.Sprintf("%dk", i.size/disk.KiB))...)
	if i.grown != 0 {
		run(t, "e2fsck", "-fy", path)
		run(t, "resize2fs", "-f", path, fmt.Sprintf("%dK", i.grown/disk.KiB))
		run(t, "e2fsck", "-fy", path) // resize2fs 1.47 miscounts a last group of clusters
	}
	if i.fill {
		var script strings.Builder
		for n := 0; n < 60; n += 3 {
			fmt.Fprintf(&script, "rm f%d\n", n)
		}
		commands := filepath.Join(t.TempDir(), "commands")
		if err := os.WriteFile(commands, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "debugfs", "-w", "-f", commands, path)
	}
	return path
}

// judge returns the extents that dumpe2fs does not call free, and whether a group
// is without a bitmap.
func judge(t *testing.T, path string, fs *FS) (used []disk.Extent, uninit bool) {
	out := run(t, "dumpe2fs", path)
	next := int64(0)
	add := func(end int64) {
		if end > next {
			used = append(used, disk.Extent{Offset: disk.Bytes(next) * fs.BlockSize, Size: disk.Bytes(end-next) * fs.BlockSize})
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		uninit = uninit || strings.Contains(lines.Text(), "BLOCK_UNINIT")
		list, ok := strings.CutPrefix(lines.Text(), "  Free blocks: ")
		for _, item := range strings.Split(list, ", ") {
			if !ok || item == "" {
				continue
			}
			var first, last int64
			if n, _ := fmt.Sscanf(item, "%d-%d", &first, &last); n == 1 {
				last = first
			}
			if first != next {
				add(first)
			}
			next = last + fs.ratio // dumpe2fs names the first block of the last cluster
		}
	}
	next = min(next, fs.Blocks)
	add(fs.Blocks)
	return used, uninit
}

// TestNotTrusted: what cannot be checked, or checks out wrong, is an error and
// never a shorter list.
func TestNotTrusted(t *testing.T) {
	testenv.Need(t, "mke2fs")
	testenv.Need(t, "debugfs")
	cases := []struct {
		name, options string
		damage        func(img []byte)
		want          string
	}{
		{"unclean", "-O ^metadata_csum", func(b []byte) { b[1024+58] = 0 }, "not cleanly unmounted"},
		{"journal to replay", "-O ^metadata_csum", func(b []byte) { b[1024+96] |= 4 }, "not cleanly unmounted"},
		{"errors", "-O ^metadata_csum", func(b []byte) { b[1024+58] |= 2 }, "not cleanly unmounted"},
		{"superblock", "-O metadata_csum", func(b []byte) { b[1024+120] ^= 1 }, "superblock checksum"},
		{"unknown feature", "-O ^metadata_csum", func(b []byte) { b[1024+99] = 0x40 }, "unknown incompatible"},
		{"unknown read-only feature", "-O ^metadata_csum", func(b []byte) { b[1024+103] = 0x40 }, "unknown read-only"},
		{"descriptor crc32c", "-O metadata_csum", func(b []byte) { b[2048+14] ^= 1 }, "descriptor checksum"},
		{"descriptor crc16", "-O ^metadata_csum,uninit_bg", func(b []byte) { b[2048+14] ^= 1 }, "descriptor checksum"},
		{"bitmap", "-O metadata_csum", func(b []byte) { flipBitmap(b) }, "bitmap checksum"},
		{"bitmap without checksum", "-O ^metadata_csum,^uninit_bg", func(b []byte) { flipBitmap(b) }, "clusters free"},
		{"tables outside", "-O ^metadata_csum,^uninit_bg", func(b []byte) { b[2048+3] = 0x7F }, "not in the file system"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ext.img")
			truncate(t, path, 16*disk.MiB)
			run(t, "mke2fs", append(strings.Fields(c.options), "-t", "ext4", "-b", "1024", "-q", "-F", path)...)
			img, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := used(img); err != nil {
				t.Fatalf("before the damage: %v", err)
			}
			c.damage(img)
			if err := used(img); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	if err := used(make([]byte, 1<<16)); !errors.Is(err, ErrNone) {
		t.Errorf("zeros: %v", err)
	}
}

// flipBitmap marks a free cluster of group 0 of a 1 KiB file system as used.
func flipBitmap(img []byte) {
	block := int(img[2048]) | int(img[2049])<<8
	img[block*1024+1023] ^= 0x40
}

// TestStop: an error from yield ends the walk and comes back as it is.
func TestStop(t *testing.T) {
	testenv.Need(t, "mke2fs")
	path := filepath.Join(t.TempDir(), "ext.img")
	truncate(t, path, 16*disk.MiB)
	run(t, "mke2fs", "-t", "ext2", "-q", "-F", path)
	img, _ := os.ReadFile(path)
	fs, err := Open(bytes.NewReader(img), disk.Bytes(len(img)))
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := fs.Used(func(disk.Extent) error { return stop }); err != stop {
		t.Errorf("error is %v", err)
	}
	if _, err := Open(bytes.NewReader(img), disk.Bytes(len(img))-4096); err == nil || !strings.Contains(err.Error(), "blocks of 1024 bytes do not fit into ") {
		t.Errorf("a file system larger than its device was opened: %v", err)
	}
}

// FuzzUsed: no superblock, descriptor or bitmap makes us panic, and extents
// always ascend inside the file system.
func FuzzUsed(f *testing.F) {
	if _, err := exec.LookPath("mke2fs"); err == nil {
		for n, options := range []string{"-O ^metadata_csum,^uninit_bg", "-O ^metadata_csum,uninit_bg,bigalloc", "-O ^metadata_csum,meta_bg,^resize_inode"} {
			path := filepath.Join(f.TempDir(), fmt.Sprint(n))
			truncate(f, path, 600*disk.KiB)
			run(f, "mke2fs", append(strings.Fields(options), "-t", "ext4", "-b", "1024", "-N", "16", "-q", "-F", path)...)
			img, _ := os.ReadFile(path)
			f.Add(img[:min(len(img), 32<<10)])
		}
	}
	f.Fuzz(func(t *testing.T, img []byte) {
		fs, err := Open(padded(img), 1<<50)
		if err != nil {
			return
		}
		last := disk.Bytes(-1)
		steps := 0
		_ = fs.Used(func(e disk.Extent) error {
			if steps++; steps > 1000 {
				return errors.New("enough")
			}
			if e.Offset <= last || e.Size <= 0 || e.End() > disk.Bytes(fs.Blocks)*fs.BlockSize {
				t.Fatalf("extent %+v behind %d in %d blocks", e, last, fs.Blocks)
			}
			last = e.End()
			return nil
		})
	})
}

// padded is a device that begins with some bytes and goes on with zeros for ever.
type padded []byte

func (p padded) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(p)) {
		copy(b, p[off:])
	}
	return len(b), nil
}

func used(img []byte) error {
	fs, err := Open(bytes.NewReader(img), disk.Bytes(len(img)))
	if err != nil {
		return err
	}
	return fs.Used(func(disk.Extent) error { return nil })
}

func truncate(t testing.TB, path string, size disk.Bytes) {
	t.Helper()
	file, err := os.Create(path)
	if err == nil {
		err = errors.Join(file.Truncate(int64(size)), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a foreign tool. e2fsck's exit code 1 is "errors corrected".
func run(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	command := exec.Command(testenv.Need(t, program), args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil && !(program == "e2fsck" && command.ProcessState.ExitCode() == 1) {
		t.Fatalf("%s %v: %v\n%s%s", program, args, err, out, stderr.Bytes())
	}
	return out
}
