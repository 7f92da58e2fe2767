package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// TestHibernated: where a system is hibernated on the disk nothing is changed, neither
// its swap nor anything else, and where nothing is to do nothing is refused.
func TestHibernated(t *testing.T) {
	swap := there("swap", 206848, 20480)
	swap.Number, swap.Content = 2, disk.Content{Kind: disk.Hibernated, Version: "s1suspend"}
	ambiguous := swap
	ambiguous.Content = disk.Content{Kind: "ext4", Ambiguous: []string{disk.Hibernated}}
	bare := blank(disk.GiB)
	bare.Table.Kind, bare.Content = disk.Bare, swap.Content
	for _, c := range []struct {
		name  string
		defs  []definitions.Definition
		snap  disk.Snapshot
		empty Empty
		where string
	}{
		{"a new partition beside it", named(want("home")), gpt(disk.GiB, swap), EmptyRefuse, "the swap of partition 2"},
		{"ambiguous", named(want("home")), gpt(disk.GiB, ambiguous), EmptyRefuse, "the swap of partition 2"},
		{"a new table", named(want("home")), gpt(disk.GiB, swap), EmptyForce, "the swap of partition 2"},
		{"a whole disk", named(want("home")), bare, EmptyForce, "the swap that it is"},
		{"nothing to do", nil, gpt(disk.GiB, swap), EmptyRefuse, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Make(c.defs, c.snap, host.Facts{}, options(c.empty))
			var refused *HibernatedError
			switch {
			case c.where == "" && err != nil:
				t.Error(err)
			case c.where != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "a system is hibernated in "+c.where+",")):
				t.Errorf("error %v", err)
			}
		})
	}
	p := planned(t, named(want("home")), gpt(disk.GiB), options(EmptyRefuse))
	if err := CheckHibernated(p, []string{"/dev/sdb2 (s1suspend)"}); err == nil || !strings.Contains(err.Error(), "hibernated in /dev/sdb2 (s1suspend),") {
		t.Errorf("elsewhere on the machine: %v", err)
	}
}
