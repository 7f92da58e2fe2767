package planner

import (
	"fmt"
	"math/bits"

	"github.com/sealpart/sealpart/definitions"
)

// maxSupplements bounds the search for the supplements to un-merge: it looks at
// all their subsets.
const maxSupplements = 8

// linkSupplements points supplements to their targets.
func (l *layout) linkSupplements() error {
	byName := make(map[string]*part, len(l.parts))
	for _, p := range l.parts {
		if p.def != nil {
			byName[p.def.Name] = p
		}
	}
	supplemented, count := make(map[*part]bool), 0
	for _, p := range l.parts {
		if p.def == nil || p.def.Partition.SupplementFor == "" {
			continue
		}
		target := byName[p.def.Partition.SupplementFor]
		if err := checkSupplement(p.def, target); err != nil {
			return err
		}
		if supplemented[target] {
			return fmt.Errorf("%s.toml: %s.toml has another supplement already", p.def.Name, target.def.Name)
		}
		p.target, supplemented[target], count = target, true, count+1
	}
	if count > maxSupplements {
		return fmt.Errorf("%d supplements are more than the %d that can be planned with", count, maxSupplements)
	}
	return nil
}

// checkSupplement refuses pairs that cannot share one partition.
func checkSupplement(s *definitions.Definition, target *part) error {
	if target == nil {
		return fmt.Errorf("%s.toml: supplement_for names %q, and there is no such definition", s.Name, s.Partition.SupplementFor)
	}
	t := target.def
	if t == s || t.Partition.SupplementFor != "" {
		return fmt.Errorf("%s.toml: supplement_for %q is a supplement itself", s.Name, t.Name)
	}
	for _, d := range []*definitions.Definition{s, t} {
		if d.Filesystem.CopyBlocks != "" || d.Encryption != nil || d.Verity != nil {
			return fmt.Errorf("%s.toml: a supplement and its target have no copy_blocks, encryption or verity, but %s.toml has", s.Name, d.Name)
		}
	}
	a, b := s.Partition, t.Partition
	if max(orElse(a.SizeMin, 0), orElse(b.SizeMin, 0)) > min(orElse(a.SizeMax, unlimited), orElse(b.SizeMax, unlimited)) ||
		max(orElse(a.PaddingMin, 0), orElse(b.PaddingMin, 0)) > min(orElse(a.PaddingMax, unlimited), orElse(b.PaddingMax, unlimited)) {
		return fmt.Errorf("%s.toml: no size fits both it and %s.toml", s.Name, t.Name)
	}
	return nil
}

// mergeSupplements merges every supplement that can be: none that has a
// partition of its own, or whose target is given up.
func (l *layout) mergeSupplements() {
	for _, p := range l.parts {
		p.merged = p.target != nil && p.old == nil && !p.dropped && !p.target.dropped
	}
}

// mergeNeeds returns the needs of a target that also serves its supplement.
func (l *layout) mergeNeeds(target, s *part) needs {
	n, other := target.needs, s.needs
	n.min = max(n.min, other.min)
	n.max = max(min(n.max, other.max), n.min)
	n.padMin = max(n.padMin, other.padMin)
	n.padMax = max(min(n.padMax, other.padMax), n.padMin)
	n.weight, n.padWeight = other.weight, other.padWeight
	return n
}

// unmergeSupplements looks for the smallest set of merged supplements that become
// partitions of their own, so that everything fits. Without one it leaves them
// merged and reports false.
func (l *layout) unmergeSupplements() bool {
	var merged []*part
	for _, p := range l.parts {
		if p.merged {
			merged = append(merged, p)
		}
	}
	for size := 1; size <= len(merged); size++ {
		for set := uint(1); set < 1<<len(merged); set++ {
			if bits.OnesCount(set) == size && l.tryUnmerged(merged, set) {
				return true
			}
		}
	}
	return false
}

// tryUnmerged un-merges the supplements in set, and merges them again where that
// does not help.
func (l *layout) tryUnmerged(merged []*part, set uint) bool {
	for i, p := range merged {
		p.merged = set&(1<<i) == 0
	}
	if l.assign() == nil {
		return true
	}
	for _, p := range merged {
		p.merged = true
	}
	return false
}
