package planner

import (
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
)

// checkActions: every action is about a row that wants it, every row that wants
// one has it, and they stand in the order that apply goes by.
func checkActions(p *Plan, _ disk.Snapshot) error {
	c := actionCheck{rows: make(map[int]Row), prepared: make(map[int]bool), grown: make(map[int]bool)}
	for _, r := range p.Rows {
		if r.Activity != ActivityDelete {
			c.rows[r.Number] = r
		}
	}
	stage := 0
	for _, a := range p.Actions {
		s, err := c.check(a)
		if err == nil && s < stage {
			err = errors.New("comes too late")
		}
		if err != nil {
			return fmt.Errorf("action %s of partition %d: %w", a.Kind(), a.Partition(), err)
		}
		stage = s
	}
	for _, r := range p.Rows {
		if (r.Activity == ActivityCreate) != c.prepared[r.Number] && r.Activity != ActivityDelete {
			return fmt.Errorf("partition %d is new and nothing makes it, or the other way round", r.Number)
		}
		if r.Activity == ActivityResize && !c.grown[r.Number] {
			return fmt.Errorf("partition %d grows without an action", r.Number)
		}
	}
	return nil
}

// actionCheck compares actions with the rows they are about.
type actionCheck struct {
	rows            map[int]Row // by number, without those that go
	prepared, grown map[int]bool
}

// check returns the stage of apply that a belongs to.
func (c *actionCheck) check(a Action) (stage int, err error) {
	switch a := a.(type) {
	case Create:
		return 0, c.create(a)
	case Verity:
		return 1, c.verity(a)
	case Grow:
		return 2, c.grow(a)
	case Reencrypt:
		return 3, c.reencrypt(a)
	}
	return 0, errors.New("is of an unknown kind")
}

func (c *actionCheck) create(a Create) error {
	if err := c.prepare(a.Number, a.Extent); err != nil {
		return err
	}
	if a.Filesystem != nil && (a.CopyBlocks != "" || a.Filesystem.Format == "") {
		return errors.New("makes a file system without a format, or over copied blocks")
	}
	if a.Encryption == nil {
		return nil
	}
	if a.Encryption.DataOffset >= a.Extent.Size {
		return errors.New("leaves no room behind the LUKS2 header")
	}
	return checkEncryption(*a.Encryption)
}

// prepare notes that something is written to the row of a new partition.
func (c *actionCheck) prepare(number int, extent disk.Extent) error {
	r, ok := c.rows[number]
	if !ok || r.Activity != ActivityCreate || r.Extent != extent || c.prepared[number] {
		return errors.New("is not about a new partition, or not the only one that writes it")
	}
	c.prepared[number] = true
	return nil
}

func (c *actionCheck) verity(a Verity) error {
	if err := c.prepare(a.Hash, a.HashExtent); err != nil {
		return err
	}
	if data, ok := c.rows[a.Data]; !ok || data.Extent != a.DataExtent {
		return fmt.Errorf("has no data partition %d", a.Data)
	}
	for _, size := range []disk.Bytes{a.DataBlockSize, a.HashBlockSize} {
		if !powerOfTwo(size) || size < 512 || size > maxVerityBlock {
			return fmt.Errorf("has blocks of %d bytes", size)
		}
	}
	if treeSize(a.DataExtent.Size, a.DataBlockSize, a.HashBlockSize) > a.HashExtent.Size {
		return errors.New("has a hash tree larger than its partition")
	}
	return checkSalt(a.Salt)
}

func (c *actionCheck) grow(a Grow) error {
	r, ok := c.rows[a.Number]
	if !ok || r.Activity != ActivityResize || r.Old.Size != a.From || r.Size != a.To || c.grown[a.Number] {
		return errors.New("is not about a partition that grows like that")
	}
	c.grown[a.Number] = true
	return nil
}

func (c *actionCheck) reencrypt(a Reencrypt) error {
	r, ok := c.rows[a.Number]
	switch {
	case !ok || r.Old == nil || r.Definition == "" || r.Extent != a.Extent:
		return errors.New("is not about a partition of a definition")
	case a.Shift <= 0 || a.DataSize < 0 || a.DataSize > a.Extent.Size:
		return errors.New("has sizes out of range")
	case !a.Resume && a.DataSize > a.Extent.Size-2*a.Shift:
		return errors.New("has no room for the header and the moved first bytes")
	}
	return checkEncryption(a.Encryption)
}

// checkEncryption: there is a key, and a sector size that LUKS2 has.
func checkEncryption(e Encryption) error {
	switch {
	case len(e.Keys) == 0:
		return errors.New("encrypts without a key")
	case !powerOfTwo(e.SectorSize) || e.SectorSize < 512 || e.SectorSize > luksSectorMax:
		return fmt.Errorf("has encryption sectors of %d bytes", e.SectorSize)
	}
	return nil
}
