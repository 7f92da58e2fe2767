package kernel

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// freshDefinitions make everything anew, from a folder of files.
var freshDefinitions = map[string]string{
	"10-srv": `partition = { type = "srv", label = "srv", size_min = "96M", size_max = "96M" }
filesystem = { format = "ext4", copy_files = ["/tree:/"] }
encryption = { key = [{ type = "file" }] }`,
	"20-usr": `partition = { type = "usr", label = "usr", size_min = "64M", size_max = "64M" }
filesystem = { format = "ext4", copy_files = ["/tree:/"] }
verity = { role = "data", match_key = "usr" }`,
	"30-usr-verity": `partition = { type = "usr-verity", label = "usr-verity", size_min = "1M", size_max = "1M" }
verity = { role = "hash", match_key = "usr" }`,
}

// TestKernel boots once and lets the kernel judge every kind of volume that we leave
// behind. Afterwards the conversions are finished here, and the files that the kernel
// wrote meanwhile must still be there.
func TestKernel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 40)
	sums := sumsOf(t, dir)
	fresh := newFresh(t, dir, plain.Key)
	converted := rig.Copy(t, plain.Path, filepath.Join(dir, "converted.img"))
	rig.Must(t, plain.Apply(converted)...)
	clean := stopped(t, plain, filepath.Join(dir, "clean.img"), syscall.SIGINT)
	crash := stopped(t, plain, filepath.Join(dir, "crash.img"), syscall.SIGKILL)

	roots := map[string]string{"converted": converted, "clean": clean, "crash": crash}
	script := luks("fresh", fresh, rig.Find(t, fresh, "srv"), plain.Key, sums) + verityOf(t, dir, fresh, sums)
	for name, image := range roots {
		script += luks(name, image, rig.Find(t, image, "root"), plain.Key, sums)
	}
	good, log := boot(t, dir, script)
	for _, name := range []string{"fresh", "verity", "converted", "clean", "crash"} {
		if !slices.Contains(good, name) {
			t.Errorf("the kernel is not content with %q", name)
		}
	}
	if t.Failed() {
		t.Fatal(log)
	}
	for name, image := range roots {
		checkWritten(t, plain, name, image)
	}
}

// newFresh makes an image with everything new.
func newFresh(t *testing.T, dir, key string) string {
	t.Helper()
	defs := filepath.Join(dir, "fresh.d")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range freshDefinitions {
		rig.File(t, defs, name+".toml", text)
	}
	image := filepath.Join(dir, "fresh.img")
	rig.Must(t, "apply", "--definitions", defs, "--root", dir, "--key-file", key, "--seed", rig.Seed, "--empty=create", "--size=auto", image)
	return image
}

// verityOf is the script of an image's verity pair.
func verityOf(t *testing.T, dir, image, sums string) string {
	t.Helper()
	return verity("verity", rig.Extract(t, image, "usr", filepath.Join(dir, "usr")),
		rig.Extract(t, image, "usr-verity", filepath.Join(dir, "usr-verity")), rootHashOf(t, image), sums)
}

// rootHashOf returns the root hash that the UUIDs of an image's verity pair say.
func rootHashOf(t *testing.T, image string) string {
	t.Helper()
	data, hash := rig.Find(t, image, "usr"), rig.Find(t, image, "usr-verity")
	return strings.ToLower(strings.ReplaceAll(data.UUID+hash.UUID, "-", ""))
}

// sumsOf lists the sums of the files that every file system here holds.
func sumsOf(t *testing.T, dir string) string {
	t.Helper()
	list := rig.Run(t, "sh", "-c", "cd "+filepath.Join(dir, "tree")+" && find . -type f | xargs sha256sum")
	return rig.File(t, dir, "sums", list)
}

// stopped converts a copy of plain and stops in the middle: by SIGINT between hot
// zones, by SIGKILL inside one. On a busy machine the signal may come too late.
func stopped(t *testing.T, plain rig.Plain, image string, signal syscall.Signal) string {
	t.Helper()
	for range 5 {
		rig.Copy(t, plain.Path, image)
		stop(t, plain, image, signal)
		pending, hot := rig.Conversion(t, rig.Extract(t, image, "root", image+".root"))
		if pending && hot == (signal == syscall.SIGKILL) {
			return image
		}
		t.Logf("after %s: conversion pending: %v, inside a hot zone: %v", signal, pending, hot)
	}
	t.Fatalf("no conversion could be stopped by %s in the middle", signal)
	return ""
}

// stop runs apply and sends it a signal in the first hot zone.
func stop(t *testing.T, plain rig.Plain, image string, signal syscall.Signal) {
	t.Helper()
	cmd := rig.Sealpart(t, plain.Apply(image, "--progress=json")...)
	events, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(events)
	for lines.Scan() && !strings.Contains(lines.Text(), `"hot zone"`) {
	}
	_ = cmd.Process.Signal(signal) // the volume reports whether it came in time
	for lines.Scan() {             // until it has ended
	}
	_ = cmd.Wait()
}

// checkWritten finishes what is still to be done on an image and looks for the file
// that the kernel wrote.
func checkWritten(t *testing.T, plain rig.Plain, name, image string) {
	t.Helper()
	rig.Must(t, plain.Apply(image)...)
	file := image + ".plain"
	rig.Must(t, "export", "--key-file", plain.Key, image+"#root", file)
	rig.Run(t, "e2fsck", "-fn", file)
	if got := rig.Run(t, "debugfs", "-R", "cat /written", file); got != name+"\n" {
		t.Errorf("%s: the file that the kernel wrote holds %q", name, got)
	}
}
