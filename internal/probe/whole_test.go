package probe

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// TestMember: a disk with a whole table is a member of what has its metadata at the disk's
// end all the same, and nothing is where a partition has it at its own end.
func TestMember(t *testing.T) {
	for _, s := range samples {
		at := int64(0)
		for place := range s.put {
			at = min(at, place)
		}
		if at == 0 || s.kind == "bcachefs" || s.kind == "nilfs2" {
			continue // nothing of it lies behind a table, or it is no array
		}
		path := labelled(t, table)
		for place, bytes := range s.put {
			patch(t, path, placed(place), []byte(bytes))
		}
		d := probedDisk(t, path, 0, 0)
		if d.Table.Kind != disk.GPT || d.Member == nil || d.Member.Kind != s.kind || d.Member.At < 70<<20 {
			t.Errorf("%s: member of %+v, table %q", s.kind, d.Member, d.Table.Kind)
		}
	}
	for _, c := range handmade[:5] {
		head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
		if c.fill(head, tail); bytes.Equal(tail, make([]byte, 1<<20)) {
			continue
		}
		path := labelled(t, table)
		patch(t, path, device-1<<20, tail)
		if d := probedDisk(t, path, 0, 0); d.Member == nil || d.Member.Kind != c.kind || d.Member.UUID == "" {
			t.Errorf("%s: member of %+v", c.name, d.Member)
		}
	}
}

// TestMemberInPartition: metadata of version 0.90 at the end of the last partition is at
// the end of the disk as well, and belongs to the partition.
func TestMemberInPartition(t *testing.T) {
	path := labelled(t, "label: dos\nstart=2048, type=83\n")
	tail := make([]byte, 1<<20)
	raid0(tail, le)
	patch(t, path, device-1<<20, tail)
	d := probedDisk(t, path, 0, 0)
	if d.Member != nil || d.Partitions[0].Content.Kind != "linux_raid_member" {
		t.Errorf("member of %+v, partition %+v", d.Member, d.Partitions[0].Content)
	}
}

// TestUnknown: a disk without a table is empty only where it reads as nothing.
func TestUnknown(t *testing.T) {
	const size = 12 << 20
	noise := make([]byte, 1<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   int64
		data []byte
		kind disk.TableKind
	}{
		{"nothing", 0, nil, disk.NoTable},
		{"erased flash", 0, bytes.Repeat([]byte{0xFF}, size), disk.NoTable},
		{"one byte in the front", 12345, []byte{1}, disk.Bare},
		{"one byte at the end", size - 1, []byte{1}, disk.Bare},
		{"noise in the middle", size / 2, noise, disk.Bare},
		{"all of it", 0, bytes.Repeat(noise, size>>20), disk.Bare},
		{"zeros and ones", 0, []byte(strings.Repeat("\x00\xFF", 2048)), disk.Bare},
		{"an MBR without partitions", 510, []byte("\x55\xAA"), disk.Bare},
	} {
		path := mkfs(t, size, "true")
		patch(t, path, c.at, c.data)
		d := probedDisk(t, path, 0, 0)
		if d.Table.Kind != c.kind || c.kind == disk.Bare && d.Content.Kind == "" && (d.Content.Problem == "" || int64(d.Content.At) > c.at || int64(d.Content.At) < c.at-4096) && c.name != "noise in the middle" {
			t.Errorf("%s: %q, %+v", c.name, d.Table.Kind, d.Content)
		}
	}
}

// TestUnsupportedTable: what can be done about a table that is whole is known, and a
// repair is no part of it.
func TestUnsupportedTable(t *testing.T) {
	path := labelled(t, "label: gpt\ntable-length: 2048\nsize=4M\n")
	d := probedDisk(t, path, 0, 0)
	if d.Table.Kind != disk.Bare || d.Content.Kind != "gpt" || !strings.Contains(d.Content.Problem, "is not supported") || strings.Contains(d.Content.Problem, "damaged") || d.Content.Remedy == "" {
		t.Errorf("disk is %+v", d)
	}
}
