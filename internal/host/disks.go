package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// assembled are the prefixes of device-mapper's UUIDs of devices that are one disk, made
// of several that look the same: multipath and firmware RAID.
var assembled = []string{"mpath-", "DMRAID-"}

// isAssembled reports whether a whole device, by its name in /sys, is one disk that is
// made of others.
func (m machine) isAssembled(name string) bool {
	id := m.line("/sys/class/block/" + name + "/dm/uuid")
	return strings.HasPrefix(name, "md") || slices.ContainsFunc(assembled, func(prefix string) bool {
		return strings.HasPrefix(id, prefix)
	})
}

// inMemory are the names of devices that are no disks of the machine: what is behind them
// is seen elsewhere, or is memory.
var inMemory = []string{"loop", "ram", "zram"}

func isDisk(name string) bool {
	return !slices.ContainsFunc(inMemory, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// wholeDisks lists the nodes of the disks of the machine. The paths and mirrors of which
// one is made are that one.
func (m machine) wholeDisks() []string {
	found, err := os.ReadDir(m.path("/sys/block"))
	if err != nil {
		return nil
	}
	var disks []string
	for _, entry := range found {
		name := entry.Name()
		mapped := strings.HasPrefix(name, "dm-") && !m.isAssembled(name)
		if isDisk(name) && !mapped && m.exists(diskName(name)) && m.above(diskName(name)) == diskName(name) {
			disks = append(disks, diskName(name))
		}
	}
	return disks
}

// above returns the disk that a disk is a part of, and the disk itself where it is none.
func (m machine) above(disk string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(disk, "/dev/"), "/", "!")
	holders, err := os.ReadDir(m.path("/sys/class/block/" + name + "/holders"))
	if err != nil {
		return disk
	}
	for _, holder := range holders {
		if m.isAssembled(holder.Name()) && m.line("/sys/class/block/"+holder.Name()+"/size") != "0" {
			return diskName(holder.Name())
		}
	}
	return disk
}

// diskOf returns the disk of a block device. Of one that is spread over several, and so
// is on none, it returns the node.
func (m machine) diskOf(number string) string {
	if disk, err := m.diskBehind(number, 0); err == nil {
		return m.above(disk)
	}
	dir, err := filepath.EvalSymlinks(m.path("/sys/dev/block/" + number))
	if err != nil {
		return ""
	}
	return diskName(dir)
}

// BlockDevices lists the nodes of all disks, partitions and volumes that are there and
// have a size. Those of floppies and optical drives are left out: to open them may take
// long, and nobody swaps there.
func BlockDevices() []string { return machine("/").blockDevices() }

func (m machine) blockDevices() []string {
	found, err := os.ReadDir(m.path("/sys/class/block"))
	if err != nil {
		return nil
	}
	var nodes []string
	for _, entry := range found {
		name := entry.Name()
		slow := strings.HasPrefix(name, "fd") || strings.HasPrefix(name, "sr")
		if size := m.line("/sys/class/block/" + name + "/size"); isDisk(name) && !slow && size != "0" && size != "" {
			nodes = append(nodes, diskName(name))
		}
	}
	return nodes
}
