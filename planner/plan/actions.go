package plan

import (
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
)

// checkActions: every action is about a row that wants it, every row that wants
// one has it, and they stand in the order that apply goes by.
func checkActions(p *Plan, _ disk.Snapshot) error {
	c := actionCheck{rows: make(map[int]Row), prepared: make(map[int]bool), grown: make(map[int]bool), worked: make(map[int]bool)}
	c.fronts, _ = conversions(p)
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
		if r.Activity == ActivityResize && !c.grown[r.Number] && r.Size != r.Old.Size+c.fronts[r.Number] {
			return fmt.Errorf("partition %d grows without an action", r.Number)
		}
	}
	return nil
}

// actionCheck compares actions with the rows they are about.
type actionCheck struct {
	rows                    map[int]Row // by number, without those that go
	prepared, grown, worked map[int]bool
	fronts                  map[int]disk.Bytes // see conversions
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
	case Enroll:
		return 3, c.enroll(a)
	case Reencrypt:
		return 4, c.reencrypt(a)
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
		if !PowerOfTwo(size) || size < 512 || size > MaxVerityBlock {
			return fmt.Errorf("has blocks of %d bytes", size)
		}
	}
	if TreeSize(a.DataExtent.Size, a.DataBlockSize, a.HashBlockSize) > a.HashExtent.Size {
		return errors.New("has a hash tree larger than its partition")
	}
	return CheckSalt(a.Salt)
}

func (c *actionCheck) grow(a Grow) error {
	r, ok := c.rows[a.Number]
	if !ok || r.Activity != ActivityResize || r.Old.Size+c.fronts[a.Number] != a.From || a.To <= a.From || r.Size != a.To || c.grown[a.Number] {
		return errors.New("is not about a partition that grows like that")
	}
	c.grown[a.Number] = true
	return nil
}

func (c *actionCheck) enroll(a Enroll) error {
	r, ok := c.rows[a.Number]
	switch {
	case !ok || r.Old == nil || r.Definition == "" || r.Extent != a.Extent || c.worked[a.Number]:
		return errors.New("is not about a partition of a definition, or not the only one that works on it")
	case r.Content.LUKS == nil || InConversion(r.Content):
		return errors.New("is not about a whole LUKS2 volume")
	case len(a.Keys) == 0 || (a.DropExisting && a.ExistingKey == ""):
		return errors.New("adds no key, or drops one that is not named")
	case a.Awaited && a.DropExisting:
		return errors.New("drops a key for what only a note in a header says")
	}
	c.worked[a.Number] = true
	return nil
}

func (c *actionCheck) reencrypt(a Reencrypt) error {
	r, ok := c.rows[a.Number]
	if !ok || r.Old == nil || r.Definition == "" || r.Extent != a.Extent || c.worked[a.Number] {
		return errors.New("is not about a partition of a definition, or not the only one that works on it")
	}
	c.worked[a.Number] = true
	if a.Shift < 0 || a.DataSize < 0 || a.DataSize > a.Extent.Size {
		return errors.New("has sizes out of range")
	}
	if err := checkForm(a, r); err != nil {
		return err
	}
	if a.Encryption.SecureKey != nil && !a.Resume {
		return errors.New("converts to a secure key")
	}
	return checkEncryption(a.Encryption)
}

// checkForm: what a conversion does fits what the partition holds, and its header
// and data have room beside each other.
func checkForm(a Reencrypt, r Row) error {
	volume := r.Content.LUKS != nil
	room, offset := a.Extent.Size-a.Shift, a.Shift
	switch {
	case a.Resume:
		if r.Extent != r.Old.Extent {
			return errors.New("goes on with a conversion in a partition that changes")
		}
		return nil
	case a.Mode == ModeRekey && a.Room == "" && a.ExistingKey != "" && volume && !InConversion(r.Content):
	case a.Mode != ModeEncrypt || volume:
		return errors.New("does not fit what the partition holds")
	case a.Room == RoomBehind && a.Shift > 0 && r.Offset == r.Old.Offset:
		room -= a.Shift
	case a.Room == RoomGap && a.Shift > 0 && r.Offset == r.Old.Offset-a.Shift:
	case a.Room == RoomDetached && a.Shift == 0 && a.HeaderPath != "" && r.Offset == r.Old.Offset:
	default:
		return fmt.Errorf("has a header in a place that does not exist: %q", a.Room)
	}
	if a.DataSize > room || a.Encryption.DataOffset != offset {
		return errors.New("has no room for the header and the moved first bytes")
	}
	return nil
}

// checkEncryption: there is a key, and a sector size that LUKS2 has.
func checkEncryption(e Encryption) error {
	switch {
	case len(e.Keys) == 0:
		return errors.New("encrypts without a key")
	case (e.SecureKey != nil) != UnderSecureKey(e.Cipher):
		return fmt.Errorf("has a volume key that the cipher %q does not take", e.Cipher)
	case !PowerOfTwo(e.SectorSize) || e.SectorSize < 512 || e.SectorSize > LUKSSectorMax:
		return fmt.Errorf("has encryption sectors of %d bytes", e.SectorSize)
	}
	return nil
}
