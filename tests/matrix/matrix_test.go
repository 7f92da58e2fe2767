// Package matrix converts file systems with every feature that may matter, each in every way: the
// content is what it was, or the disk was refused before the first write.
package matrix

import (
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

var all = flag.Bool("all", false, "try every file system in every way, and print a table")

// kind is a file system, by the shell commands that make it in IMG, out of the
// folder TREE.
type kind struct {
	name, make string
	megabytes  int64             // 0 for 80
	refused    map[string]string // ways that are refused, "" for all, and by what words
}

const ext4 = "mke2fs -q -F -t ext4 -d TREE "

// rigid is what cannot be made smaller for a feature of its own, and only that.
func rigid(why string) map[string]string { return map[string]string{"shrink": why} }

var noRoom = rigid("there is no room for the LUKS2 header")

var kinds = []kind{
	{name: "ext4", make: ext4 + "IMG"},
	{name: "ext4, to be replayed", make: ext4 + `IMG; debugfs -w -R "feature needs_recovery" IMG; debugfs -w -R "ssv state 0" IMG`},
	{name: "ext4, bigalloc", make: ext4 + "-O bigalloc IMG", refused: rigid("(bigalloc)")},
	{name: "ext4, mmp", make: ext4 + "-O mmp IMG", refused: rigid("(mmp)")},
	{name: "ext4, mmp, in use", make: ext4 + `-b 4096 -O mmp IMG; at=$(dumpe2fs -h IMG 2>&1 | sed -n "s/MMP block number: *//p"); printf "\007\0\0\0" | dd of=IMG bs=1 seek=$((at * 4096 + 4)) conv=notrunc status=none`, refused: map[string]string{"": "as its multiple mount protection says"}},
	{name: "swap", make: "mkswap -q IMG", refused: noRoom},
	{name: "ext2", make: "mke2fs -q -F -t ext2 -d TREE IMG"},
	{name: "ext3", make: "mke2fs -q -F -t ext3 -d TREE IMG"},
	{name: "ext4, meta_bg", make: ext4 + "-O meta_bg,^resize_inode IMG"},
	{name: "ext4, no 64bit", make: ext4 + "-O ^64bit IMG"},
	{name: "ext4, 64bit", make: ext4 + "-O 64bit IMG"},
	{name: "ext4, inline_data", make: ext4 + "-O inline_data IMG"},
	{name: "ext4, casefold", make: ext4 + "-O casefold IMG"},
	{name: "ext4, encrypt", make: ext4 + "-O encrypt IMG"},
	{name: "ext4, stable_inodes", make: ext4 + "-O encrypt,stable_inodes IMG", refused: rigid("(stable_inodes)")},
	{name: "ext4, verity", make: ext4 + "-O verity IMG"},
	{name: "ext4, quota", make: ext4 + "-O quota IMG"},
	{name: "ext4, orphan_file", make: ext4 + "-O orphan_file IMG"},
	{name: "ext4, no journal", make: ext4 + "-O ^has_journal IMG"},
	{name: "ext4, external journal", make: ext4 + `-O ^has_journal IMG; debugfs -w -R "feature has_journal" IMG`, refused: rigid("its journal is on another device")},
	{name: "ext4, no resize_inode", make: ext4 + "-O ^resize_inode IMG"},
	{name: "ext4, no flex_bg", make: ext4 + "-O ^flex_bg IMG"},
	{name: "ext4, no checksums", make: ext4 + "-O ^metadata_csum IMG"},
	{name: "ext4, sparse_super2", make: ext4 + "-O sparse_super2 IMG"},
	{name: "ext4, blocks of 1 KiB", make: ext4 + "-b 1024 IMG"},
	{name: "ext4, blocks of 4 KiB", make: ext4 + "-b 4096 IMG"},
	{name: "ext4, blocks of 64 KiB", make: ext4 + "-b 65536 IMG"},
	{name: "ext4, few inodes", make: ext4 + "-b 1024 -g 1024 -N 800 IMG"},
	{name: "btrfs", make: "mkfs.btrfs -q -f -m dup --mixed --rootdir TREE IMG", refused: noRoom},
	{name: "btrfs, single", make: "mkfs.btrfs -q -f -m single -d single --mixed --rootdir TREE IMG", refused: noRoom},
	{name: "f2fs", make: "mkfs.f2fs -q -f IMG", refused: noRoom},
	{name: "vfat", make: "mkfs.vfat -F 32 IMG", refused: noRoom},
	{name: "squashfs", make: "rm IMG; mksquashfs TREE IMG -quiet -no-progress"},
	{name: "erofs", make: "rm IMG; mkfs.erofs IMG TREE"},
	{name: "xfs", make: "mkfs.xfs -q -f IMG", megabytes: 320, refused: noRoom},
}

// ways are the values of header_room, and of free_space.
var ways = map[string]string{
	"grow": `header_room = ["grow"]`, "shrink": `header_room = ["shrink"]`, "gap": `header_room = ["gap"]`,
	"detached": `header_room = ["detached:DIR/header"]`, "discard": "header_room = [\"gap\"]\nfree_space = \"discard\"",
}

var order = []string{"grow", "shrink", "gap", "detached", "discard"}

// TestMatrix tries what the ordinary run has the time for, or all.
func TestMatrix(t *testing.T) {
	if *all {
		fmt.Println("| | " + strings.Join(order, " | ") + " |\n|---|" + strings.Repeat("---|", len(order)))
	}
	for i, k := range kinds {
		if !*all && i > 5 {
			break
		}
		var row []string
		t.Run(k.name, func(t *testing.T) {
			b := newBench(t, k)
			for _, way := range order {
				if *all || way == "shrink" || k.name == "swap" && way == "gap" {
					row = append(row, b.try(t, k, way))
				}
			}
		})
		if *all {
			fmt.Printf("| %s | %s |\n", k.name, strings.Join(row, " | "))
		}
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

// try converts a copy of the disk in a way, and returns what came of it.
func (b bench) try(t *testing.T, k kind, way string) string {
	t.Helper()
	dir := filepath.Join(b.dir, way)
	if err := os.MkdirAll(filepath.Join(dir, "defs"), 0o755); err != nil {
		t.Fatal(err)
	}
	definition := "[partition]\ntype = \"root\"\nweight = 0\n[encryption]\nexisting = \"convert\"\n" +
		strings.ReplaceAll(ways[way], "DIR", dir) + "\n[[encryption.key]]\ntype = \"file\"\n"
	rig.File(t, filepath.Join(dir, "defs"), "10-root.toml", definition)
	image := rig.Copy(t, b.disk, filepath.Join(dir, "disk"))
	apply := []string{"apply", "--definitions", filepath.Join(dir, "defs"), "--key-file", b.key, "--seed", rig.Seed, image}
	said, err := rig.Sealpart(t, apply...).CombinedOutput()
	words, refused := k.refused[""]
	if !refused {
		words, refused = k.refused[way]
	}
	switch {
	case (err != nil) != refused:
		t.Errorf("%s: %v\n%s", way, err, said)
	case refused && !strings.Contains(string(said), words):
		t.Errorf("%s: refused for another reason than %q:\n%s", way, words, said)
	case refused:
		rig.Run(t, "cmp", image, b.disk)
		return "refused"
	default:
		if out := rig.Must(t, apply...); out != "" {
			t.Errorf("%s: there is still to do: %s", way, out)
		}
		b.judge(t, way, image)
		return "equal"
	}
	return "FAILED"
}

// judge compares the content with the file system as it was: byte for byte, but where it was
// made smaller or what it does not use was dropped. There the files count.
func (b bench) judge(t *testing.T, way, image string) {
	t.Helper()
	plain := filepath.Join(filepath.Dir(image), "plain")
	if way == "detached" {
		rig.Extract(t, image, "root", plain)
		rig.Run(t, "cryptsetup", "reencrypt", "--decrypt", "--batch-mode", "--force-offline-reencrypt",
			"--header", filepath.Join(filepath.Dir(image), "header"), "--key-file", b.key, plain)
	} else {
		rig.Must(t, "export", "--key-file", b.key, image+"#root", plain)
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
