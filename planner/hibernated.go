package planner

import (
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// HibernatedError says that a system is hibernated on the machine or in the image: what
// it has in memory of the file systems would meet others when it comes back, and destroy
// them. Nothing was written.
type HibernatedError struct {
	Path  string   // of the disk
	Where []string // the swap areas, for people
}

// Error names the disk and every swap area with a hibernated system.
func (e *HibernatedError) Error() string {
	return fmt.Sprintf("%s: a system is hibernated in %s, and would destroy what is changed under it", e.Path, strings.Join(e.Where, " and "))
}

// Hint says how that system comes to its end.
func (e *HibernatedError) Hint() string {
	return "resume it and shut it down; or give up what it has in memory, by \"swapon\" or, with the UUID and label that \"blkid -p\" shows, \"mkswap\""
}

// CheckHibernated refuses a plan that changes something, with a *HibernatedError, where
// systems are hibernated in the given places.
func CheckHibernated(p *plan.Plan, where []string) error {
	if p.Empty() || len(where) == 0 {
		return nil
	}
	return &HibernatedError{p.Target.Path, where}
}

// hibernatedIn lists the places on a disk in which a system is hibernated.
func hibernatedIn(s disk.Snapshot) []string {
	var where []string
	if s.Content.HoldsHibernated() {
		where = append(where, "the swap that it is")
	}
	for _, p := range s.Partitions {
		if p.Content.HoldsHibernated() {
			where = append(where, fmt.Sprintf("the swap of partition %d", p.Number))
		}
	}
	return where
}
