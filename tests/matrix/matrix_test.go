// Package matrix converts file systems with every feature that may matter, each in every way: the
// content is what it was, or the disk was refused before the first write.
package matrix

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

var (
	all    = flag.Bool("all", false, "try every file system in every way")
	only   = flag.String("only", "", "try one file system, by its name")
	update = flag.Bool("update", false, "write the table in docs")
)

// kind is a file system, by the shell commands that make it in IMG, out of the
// folder TREE.
type kind struct {
	name, make string
	megabytes  int64 // 0 for 80
	expected   expectation
	mounts     bool // the kernel makes it smaller
}

// expectation says what comes of each way, in their order: the content is equal, or the words
// by which it is refused.
type expectation [5]string

const (
	ext4  = "mke2fs -q -F -t ext4 -d TREE "
	equal = "equal"
)

var (
	equals = expectation{equal, equal, equal, equal, equal}
	noRoom = rigid("there is no room for the LUKS2 header")
)

// rigid is what cannot be made smaller, and only that.
func rigid(why string) expectation { return expectation{equal, why, equal, equal, equal} }

// never is what is refused in every way.
func never(why string) expectation { return expectation{why, why, why, why, why} }

var kinds = []kind{
	{name: "ext4", make: ext4 + "IMG", expected: equals},
	{name: "ext4, to be replayed", make: ext4 + `IMG; debugfs -w -R "feature needs_recovery" IMG; debugfs -w -R "ssv state 0" IMG`, expected: equals},
	{name: "ext4, bigalloc", make: ext4 + "-O bigalloc IMG", expected: rigid("(bigalloc)")},
	{name: "ext4, mmp", make: ext4 + "-O mmp IMG", expected: rigid("(mmp)")},
	{name: "ext4, mmp, in use", make: ext4 + `-b 4096 -O mmp IMG; at=$(dumpe2fs -h IMG 2>&1 | sed -n "s/MMP block number: *//p"); printf "\007\0\0\0" | dd of=IMG bs=1 seek=$((at * 4096 + 4)) conv=notrunc status=none`, expected: never("as its multiple mount protection says")},
	{name: "swap", make: "mkswap -q IMG", expected: noRoom},
	{name: "ext2", make: "mke2fs -q -F -t ext2 -d TREE IMG", expected: equals},
	{name: "ext3", make: "mke2fs -q -F -t ext3 -d TREE IMG", expected: equals},
	{name: "ext4, meta_bg", make: ext4 + "-O meta_bg,^resize_inode IMG", expected: equals},
	{name: "ext4, no 64bit", make: ext4 + "-O ^64bit IMG", expected: equals},
	{name: "ext4, 64bit", make: ext4 + "-O 64bit IMG", expected: equals},
	{name: "ext4, inline_data", make: ext4 + "-O inline_data IMG", expected: equals},
	{name: "ext4, casefold", make: ext4 + "-O casefold IMG", expected: equals},
	{name: "ext4, encrypt", make: ext4 + "-O encrypt IMG", expected: equals},
	{name: "ext4, stable_inodes", make: ext4 + "-O encrypt,stable_inodes IMG", expected: rigid("(stable_inodes)")},
	{name: "ext4, verity", make: ext4 + "-O verity IMG", expected: equals},
	{name: "ext4, quota", make: ext4 + "-O quota IMG", expected: equals},
	{name: "ext4, orphan_file", make: ext4 + "-O orphan_file IMG", expected: equals},
	{name: "ext4, no journal", make: ext4 + "-O ^has_journal IMG", expected: equals},
	{name: "ext4, external journal", make: ext4 + `-O ^has_journal IMG; debugfs -w -R "feature has_journal" IMG`, expected: rigid("its journal is on another device")},
	{name: "ext4, no resize_inode", make: ext4 + "-O ^resize_inode IMG", expected: equals},
	{name: "ext4, no flex_bg", make: ext4 + "-O ^flex_bg IMG", expected: equals},
	{name: "ext4, no checksums", make: ext4 + "-O ^metadata_csum IMG", expected: equals},
	{name: "ext4, sparse_super2", make: ext4 + "-O sparse_super2 IMG", expected: equals},
	{name: "ext4, blocks of 1 KiB", make: ext4 + "-b 1024 IMG", expected: equals},
	{name: "ext4, blocks of 4 KiB", make: ext4 + "-b 4096 IMG", expected: equals},
	{name: "ext4, blocks of 64 KiB", make: ext4 + "-b 65536 IMG", expected: equals},
	{name: "ext4, few inodes", make: ext4 + "-b 1024 -g 1024 -N 800 IMG", expected: equals},
	{name: "btrfs, mixed, dup", make: "mkfs.btrfs -q -f -m dup -d dup --mixed --rootdir TREE IMG", megabytes: 160, expected: noRoom},
	{name: "btrfs, mixed, single", make: "mkfs.btrfs -q -f -m single -d single --mixed --rootdir TREE IMG", megabytes: 160, expected: noRoom},
	{name: "btrfs, single", make: "mkfs.btrfs -q -f -m single -d single --rootdir TREE IMG", megabytes: 400, expected: equals, mounts: true},
	{name: "btrfs, dup", make: "mkfs.btrfs -q -f -m dup -d dup --rootdir TREE IMG", megabytes: 400, expected: equals, mounts: true},
	{name: "btrfs, full chunks", make: `mkfs.btrfs -q -f -m dup -d single --rootdir TREE IMG; unshare -m sh -ec "mount -o loop IMG /mnt; for i in \$(seq 400); do head -c 1M /dev/urandom >/mnt/fill\$i 2>/dev/null || break; done; sync; rm /mnt/fill*[02468]; umount /mnt"`, megabytes: 400, expected: equals, mounts: true},
	{name: "btrfs, full", make: `mkfs.btrfs -q -f -m single -d single --rootdir TREE IMG; unshare -m sh -ec "mount -o loop IMG /mnt; head -c 400M /dev/urandom >/mnt/fill 2>/dev/null || true; sync; umount /mnt"`, megabytes: 400, expected: noRoom, mounts: true},
	{name: "f2fs", make: "mkfs.f2fs -q -f IMG", expected: noRoom},
	{name: "vfat", make: "mkfs.vfat -F 32 IMG", expected: noRoom},
	{name: "squashfs", make: "rm IMG; mksquashfs TREE IMG -quiet -no-progress", expected: noRoom},
	{name: "erofs", make: "rm IMG; mkfs.erofs IMG TREE", expected: noRoom},
	{name: "xfs", make: "mkfs.xfs -q -f IMG", megabytes: 320, expected: noRoom},
}

// ways are the values of header_room, and of free_space.
var ways = map[string]string{
	"grow": `header_room = ["grow"]`, "shrink": `header_room = ["shrink"]`, "gap": `header_room = ["gap"]`,
	"detached": `header_room = ["detached:DIR/header"]`, "discard": "header_room = [\"gap\"]\nfree_space = \"discard\"",
}

var order = []string{"grow", "shrink", "gap", "detached", "discard"}

// TestMatrix tries what the ordinary run has the time for, or all. What is not tried here is
// still said in TestTable, by which the long form proves it.
func TestMatrix(t *testing.T) {
	for i, k := range kinds {
		if !*all && i > 5 || *only != "" && k.name != *only {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			b := newBench(t, k)
			for i, way := range order {
				if *all || way == "shrink" || k.name == "swap" && way == "gap" {
					b.try(t, k, way, k.expected[i])
				}
			}
		})
	}
}

// bench is a disk with a file system in its only partition, and free space before and behind.
type bench struct {
	dir, fs, disk, key string
	size               int64
	ext                bool
}

// newBench makes the disk.
func newBench(t *testing.T, k kind) bench {
	t.Helper()
	dir := t.TempDir()
	b := bench{dir: dir, fs: filepath.Join(dir, "fs"), disk: filepath.Join(dir, "factory"), key: rig.File(t, dir, "key", "a key of the tests"), ext: strings.HasPrefix(k.name, "ext")}
	tree := filepath.Join(dir, "tree", "deep")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		rig.File(t, tree, fmt.Sprintf("file-%d", i), strings.Repeat(fmt.Sprintf("line of %d\n", i), i*i))
	}
	rig.File(t, dir, "fs", "")
	if err := os.Truncate(b.fs, cmp.Or(k.megabytes, 80)<<20); err != nil {
		t.Fatal(err)
	}
	rig.Run(t, "sh", "-ec", strings.NewReplacer("IMG", b.fs, "TREE", filepath.Dir(tree)).Replace("("+k.make+") >&2"))
	if info, err := os.Stat(b.fs); err != nil {
		t.Fatal(err)
	} else if b.size = info.Size(); b.size%4096 != 0 {
		t.Fatalf("%d bytes", b.size)
	}
	rig.File(t, dir, "factory", "")
	if err := os.Truncate(b.disk, b.size+(100<<20)); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, fmt.Sprintf("label: gpt\nstart=65536, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root\n", b.size/512), "sfdisk", "-q", b.disk)
	rig.Run(t, "dd", "if="+b.fs, "of="+b.disk, "bs=1M", "seek=32", "conv=notrunc,sparse", "status=none")
	return b
}

// try converts a copy of the disk in a way: what comes of it is what is expected.
func (b bench) try(t *testing.T, k kind, way, expected string) {
	t.Helper()
	dir := filepath.Join(b.dir, way)
	if err := os.MkdirAll(filepath.Join(dir, "defs"), 0o755); err != nil {
		t.Fatal(err)
	}
	definition := "[partition]\ntype = \"root\"\nweight = 0\n[encryption]\nexisting = \"convert\"\n" +
		strings.ReplaceAll(ways[way], "DIR", dir) + "\n[[encryption.key]]\ntype = \"file\"\n"
	rig.File(t, filepath.Join(dir, "defs"), "10-root.toml", definition)
	image := rig.Copy(t, b.disk, filepath.Join(dir, "disk"))
	apply := []string{"apply", "--definitions", filepath.Join(dir, "defs"), "--key-file", b.key, "--seed", rig.Seed}
	if k.mounts {
		apply = append(apply, "--mount")
	}
	apply = append(apply, image)
	said, err := rig.Sealpart(t, apply...).CombinedOutput()
	refused := expected != equal
	switch {
	case (err != nil) != refused:
		t.Errorf("%s: %v\n%s", way, err, said)
	case refused && !strings.Contains(string(said), expected):
		t.Errorf("%s: refused for another reason than %q:\n%s", way, expected, said)
	case refused:
		rig.Run(t, "cmp", image, b.disk)
	default:
		if out := rig.Must(t, apply...); out != "" {
			t.Errorf("%s: there is still to do: %s", way, out)
		}
		b.judge(t, way, image)
	}
}

// checkNoPlain demands that nothing of the files is left in the clear.
func (b bench) checkNoPlain(t *testing.T, way, image string) {
	t.Helper()
	content, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if at := bytes.Index(content, []byte(strings.Repeat("line of 59\n", 40))); at >= 0 {
		t.Errorf("%s: plain text is left at %d", way, at)
	}
}

// judge compares the content with the file system as it was: byte for byte, but where it was
// made smaller or what it does not use was dropped. There the files count.
func (b bench) judge(t *testing.T, way, image string) {
	t.Helper()
	b.checkNoPlain(t, way, image)
	plain := filepath.Join(filepath.Dir(image), "plain")
	if way == "detached" {
		rig.Extract(t, image, "root", plain)
		rig.Run(t, "cryptsetup", "reencrypt", "--decrypt", "--batch-mode", "--force-offline-reencrypt",
			"--header", filepath.Join(filepath.Dir(image), "header"), "--key-file", b.key, plain)
	} else {
		rig.Must(t, "export", "--key-file", b.key, image+"#root", plain)
	}
	if !b.ext && way == "shrink" {
		b.judgeBtrfs(t, plain)
		return
	}
	if !b.ext || way != "shrink" && way != "discard" {
		rig.Run(t, "cmp", "-n", fmt.Sprint(b.size), plain, b.fs)
		return
	}
	var trees []string
	for i, fs := range []string{b.fs, plain} {
		tree := filepath.Join(filepath.Dir(image), fmt.Sprint("tree", i))
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		rig.Run(t, "debugfs", "-R", "rdump / "+tree, fs)
		trees = append(trees, tree)
	}
	rig.Run(t, "diff", "-r", "--no-dereference", trees[0], trees[1])
	if files := rig.Run(t, "find", trees[0], "-type", "f"); strings.Count(files, "\n") != 60 {
		t.Errorf("%s: other files than were put there:\n%s", way, files)
	}
	if way == "shrink" {
		rig.Run(t, "e2fsck", "-fn", plain)
	}
}
