package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// checkHibernated refuses to change a block device while a system is hibernated in any
// swap of the machine: it has that device's file systems in memory, or others' that are
// opened by what lies there. What is to become of an image is no matter of this machine's.
func checkHibernated(dev blockdev.Device, plan *plan.Plan) error {
	file, ok := dev.(*blockdev.File)
	if !ok || !file.IsBlockDevice() || plan.Empty() {
		return nil
	}
	return planner.CheckHibernated(plan, hibernated())
}

// hibernated lists where on this machine a system is hibernated, for people. What cannot
// be opened or read is left out: nobody resumes from it either.
func hibernated() []string {
	var where []string
	contents := map[string]disk.Content{}
	for _, node := range host.BlockDevices() {
		content, err := contentOf(node)
		if err != nil {
			continue
		}
		if contents[node] = content; content.HoldsHibernated() {
			where = append(where, fmt.Sprintf("%s (%s)", node, disk.Hibernated))
		}
	}
	for _, place := range host.ResumePlaces() {
		if text := suspendedAt(place, contents); text != "" {
			where = append(where, text)
		}
	}
	return slices.Compact(where)
}

// contentOf says what is on a block device, from its first byte on.
func contentOf(node string) (disk.Content, error) {
	file, err := os.Open(node)
	if err != nil {
		return disk.Content{}, err
	}
	defer file.Close()
	size, err := blockdev.SizeOf(file)
	if err != nil {
		return disk.Content{}, err
	}
	return probe.Content(file, size)
}

// suspendedAt describes a system that is hibernated in a place that the machine resumes
// from, "" where none is. The header of a swap that is a whole device was seen already.
func suspendedAt(place host.ResumePlace, contents map[string]disk.Content) string {
	node := place.Node
	for path, c := range contents { // without udev no link leads there
		if node == "" && (c.UUID != "" && place.Name == "UUID="+c.UUID || c.Label != "" && place.Name == "LABEL="+c.Label) {
			node = path
		}
	}
	if node == "" && place.Hibernated {
		return fmt.Sprintf("%s (which is not to be seen; the EFI variable HibernateLocation says so, and is to be removed if that is over)", place.Name)
	}
	if node == "" || place.Offset == 0 {
		return ""
	}
	file, err := os.Open(node)
	if err != nil {
		return ""
	}
	defer file.Close()
	if writer, err := probe.Suspended(file, place.Offset, int64(os.Getpagesize())); err != nil || writer == "" {
		return ""
	}
	return fmt.Sprintf("the swap file at byte %d of %s", place.Offset, node)
}
