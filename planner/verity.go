package planner

import (
	"encoding/hex"
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

const (
	defaultVerityBlock disk.Bytes = 4096
)

// planVerity makes the action for a new hash partition.
func planVerity(l *layout, p *part) (plan.Action, error) {
	if !p.created() || !isVerityHash(p.def) {
		return nil, nil
	}
	data := l.sibling(p)
	dataBlock, hashBlock := verityBlocks(data.def.Verity, p.def.Verity)
	salt := p.def.Verity.Salt
	if salt == nil {
		salt = data.def.Verity.Salt
	}
	if salt == nil {
		salt = deriveBytes(l.opts.Seed, []byte("verity-salt"))
	}
	return plan.Verity{
		Data: data.number, Hash: p.number, DataExtent: data.extent, HashExtent: p.extent,
		DataBlockSize: dataBlock, HashBlockSize: hashBlock,
		Salt: hex.EncodeToString(salt), UUID: derive(l.opts.Seed, []byte("verity-uuid")),
		Why: fmt.Sprintf("%s.toml wants the hash tree over the partition of %s.toml", p.def.Name, data.def.Name),
	}, nil
}

// checkVerity makes sure that every verity set is whole, and that no data
// partition is made anew under a hash tree that stays.
func (l *layout) checkVerity() error {
	for _, p := range l.parts {
		if p.def == nil || p.def.Verity == nil {
			continue
		}
		v, count := p.def.Verity, 0
		if err := checkVerityValues(v); err != nil {
			return fmt.Errorf("%s.toml: %w", p.def.Name, err)
		}
		for _, q := range l.parts {
			if sameSet(p, q) && q.def.Verity.Role != v.Role {
				count++
			}
		}
		switch {
		case v.MatchKey == "" || count != 1:
			return fmt.Errorf("%s.toml: a verity set is one data and one hash partition, but match_key %q has %d others", p.def.Name, v.MatchKey, count)
		case isVerityHash(p.def) && p.old != nil && l.sibling(p).old == nil:
			return fmt.Errorf("%s.toml: partition %d holds a hash tree, which does not fit the new partition of %s.toml", p.def.Name, p.old.Number, l.sibling(p).def.Name)
		}
	}
	return nil
}

// checkVerityValues refuses what no superblock can say.
func checkVerityValues(v *definitions.Verity) error {
	for _, size := range []disk.Bytes{v.DataBlockSize, v.HashBlockSize} {
		if size != 0 && (!plan.PowerOfTwo(size) || size < 512 || size > plan.MaxVerityBlock) {
			return fmt.Errorf("verity block size %d is not a power of two from 512 on", size)
		}
	}
	if v.Role != definitions.VerityData && v.Role != definitions.VerityHash {
		return fmt.Errorf("unknown verity role %q", v.Role)
	}
	return plan.CheckSalt(hex.EncodeToString(v.Salt))
}

// sameSet reports whether p and q belong to one verity set.
func sameSet(p, q *part) bool {
	return p != q && p.def != nil && q.def != nil && p.def.Verity != nil && q.def.Verity != nil &&
		p.def.Verity.MatchKey == q.def.Verity.MatchKey
}

// sibling returns the other member of p's verity set; checkVerity has seen it.
func (l *layout) sibling(p *part) *part {
	for _, q := range l.parts {
		if sameSet(p, q) && q.def.Verity.Role != p.def.Verity.Role {
			return q
		}
	}
	return nil
}

// verityBlocks returns the block sizes of a set, which either member may give.
func verityBlocks(data, hash *definitions.Verity) (dataBlock, hashBlock disk.Bytes) {
	first := func(sizes ...disk.Bytes) disk.Bytes {
		for _, s := range sizes {
			if s != 0 {
				return s
			}
		}
		return defaultVerityBlock
	}
	return first(hash.DataBlockSize, data.DataBlockSize), first(hash.HashBlockSize, data.HashBlockSize)
}

// markRootUUIDs says which partitions of verity sets get their UUIDs from the root
// hash: those that are made now and whose definitions do not give one.
func (l *layout) markRootUUIDs() {
	for _, p := range l.parts {
		p.rootUUID = p.created() && p.def.Verity != nil && p.def.Partition.UUID == nil
	}
}

// raiseTrees makes the new hash partitions large enough for the data partitions
// as they have been laid out, and reports whether one was too small.
func (l *layout) raiseTrees() (bool, error) {
	raised := false
	for _, p := range l.parts {
		if !p.created() || !isVerityHash(p.def) {
			continue
		}
		data := l.sibling(p)
		dataBlock, hashBlock := verityBlocks(data.def.Verity, p.def.Verity)
		tree := plan.TreeSize(data.extent.Size, dataBlock, hashBlock)
		if tree <= p.extent.Size {
			continue
		}
		if limit := orElse(p.def.Partition.SizeMax, unlimited); tree > limit {
			return false, fmt.Errorf("%s.toml: size_max is %s, and the hash tree over %s takes %s", p.def.Name, limit, data.extent.Size, tree)
		}
		p.tree, raised = tree, true
	}
	return raised, nil
}
