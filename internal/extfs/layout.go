package extfs

// Where the file system keeps its own tables, in blocks
// (Documentation/filesystems/ext4: Block Group Descriptors, Meta Block Groups).

// hasSuper reports whether group number holds a copy of the superblock.
func (f *FS) hasSuper(number int64) bool {
	s := f.super
	switch {
	case number == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return number == s.backupGroups[0] || number == s.backupGroups[1]
	case number == 1 || s.roCompat&roCompatSparseSuper == 0:
		return true
	}
	return powerOf(number, 3) || powerOf(number, 5) || powerOf(number, 7)
}

func powerOf(n, base int64) bool {
	for n > 1 && n%base == 0 {
		n /= base
	}
	return n == 1
}

// superAt returns the block of group number that its superblock copy is in, or
// would be. With blocks of 1 KiB and clusters, block 0 is the boot block although
// it belongs to group 0.
func (f *FS) superAt(number int64) int64 {
	first := f.super.firstDataBlock + number*f.super.blocksPerGroup
	if first == 0 && f.BlockSize == 1024 {
		return 1
	}
	return first
}

// metaBG reports whether the descriptors of group number are in its meta block
// group, and not in the one table behind each superblock.
func (f *FS) metaBG(number int64) bool {
	perBlock := int64(f.BlockSize) / f.super.descriptorSize
	return f.super.incompat&incompatMetaBG != 0 && number/perBlock >= f.super.firstMetaBG
}

// descriptorBlockAt returns where the index-th block of group descriptors is.
func (f *FS) descriptorBlockAt(index int64) int64 {
	number := index * (int64(f.BlockSize) / f.super.descriptorSize)
	if !f.metaBG(number) {
		return f.superAt(0) + 1 + index
	}
	if f.hasSuper(number) {
		return f.superAt(number) + 1
	}
	return f.superAt(number)
}

// tableBlocks returns how many blocks of descriptors, with those reserved for
// growth, stand behind each superblock outside meta block groups.
func (f *FS) tableBlocks() int64 {
	if f.super.incompat&incompatMetaBG != 0 {
		return f.super.firstMetaBG
	}
	perBlock := int64(f.BlockSize) / f.super.descriptorSize
	return (f.groups+perBlock-1)/perBlock + f.super.reservedGDTBlocks
}

// base returns the blocks at the start of group number that hold copies of the
// superblock and of group descriptors.
func (f *FS) base(number int64) []blockRange {
	super, has := f.superAt(number), f.hasSuper(number)
	var out []blockRange
	if has {
		out = append(out, blockRange{super, super + 1})
		super++
	}
	if !f.metaBG(number) {
		if has {
			out = append(out, blockRange{super, super + f.tableBlocks()})
		}
		return out
	}
	perBlock := int64(f.BlockSize) / f.super.descriptorSize
	if in := number % perBlock; in == 0 || in == 1 || in == perBlock-1 {
		out = append(out, blockRange{super, super + 1})
	}
	return out
}

// tables returns the blocks of g's bitmaps and inode table; with flex_bg they are
// mostly in another group.
func (f *FS) tables(g group) [3]blockRange {
	inodeTableBlocks := (f.super.inodesPerGroup*f.super.inodeSize + int64(f.BlockSize) - 1) / int64(f.BlockSize)
	return [3]blockRange{
		{g.blockBitmap, g.blockBitmap + 1},
		{g.inodeBitmap, g.inodeBitmap + 1},
		{g.inodeTable, g.inodeTable + inodeTableBlocks},
	}
}
