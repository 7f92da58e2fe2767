package probe

import "slices"

// fileSystems are all asked; two that answer are ambiguous. The first are those that are
// worked on, of which more is said than their kind.
var fileSystems = slices.Concat([]format{
	found(findFAT), found(findSwap, swapMarks()...), found(findXFS), found(findExt),
	found(findBtrfs, anywhere("_BHRfS_M", 64<<10+64, 64<<20+64, 256<<30+64)...),
	found(findF2FS), found(findSquashfs), found(findEROFS), found(findZFS), found(findUDF, udfMarks()...),
	found(findISO9660, mark{32<<10 + 1, "CD001"}), found(findExFAT), found(findNTFS, mark{-sector + 3, "NTFS    "}),
}, otherFileSystems)

// otherFileSystems are left alone.
var otherFileSystems = []format{
	marked("bcachefs", anywhere("\xC6\x85\x73\xF6\x66\xCE\x90\xA9\xD9\x6A\x60\xCF\x80\x3D\xF7\xEF", 4096+24, 2<<20+24, -1<<20+24)...),
	checked("xfs_external_log", isXFSLog, everySector("\xFE\xED\xBA\xBE")...),
	marked("exfs", mark{0, "EXFS"}),
	marked("reiserfs", slices.Concat(anywhere("ReIsErFs", 8<<10+52, 8<<10+20, 64<<10+52),
		anywhere("ReIsEr2Fs", 64<<10+52), anywhere("ReIsEr3Fs", 64<<10+52))...),
	marked("reiser4", mark{64 << 10, "ReIsEr4"}),
	marked("jfs", mark{32 << 10, "JFS1"}),
	checked("hfsplus", isHFSPlus, slices.Concat(anywhere("H+", 1024, 1024+124, -1024), anywhere("HX", 1024, 1024+124, -1024))...),
	checked("hfs", isHFS, anywhere("BD", 1024, -1024)...),
	marked("ufs", ufsMarks()...),
	marked("hpfs", mark{8 << 10, "\x49\xE8\x95\xF9"}),
	marked("sysv", slices.Concat(anywhere("\x20\x7E\x18\xFD", sysVPlaces...), anywhere("\xFD\x18\x7E\x20", sysVPlaces...))...),
	marked("xenix", anywhere("\x2B\x55\x44", 2048)...), marked("xenix", anywhere("\x44\x55\x2B", 2048)...),
	marked("ReFS", mark{0, "\x00\x00\x00ReFS\x00"}),
	marked("cramfs", anywhere("\x45\x3D\xCD\x28", 0)...), marked("cramfs", anywhere("\x28\xCD\x3D\x45", 0)...),
	marked("romfs", mark{0, "-rom1fs-"}),
	checked("minix", isMinix, minixMarks()...),
	checked("gfs", isGFS1, mark{64 << 10, gfsMagic}), checked("gfs2", isGFS2, mark{64 << 10, gfsMagic}),
	marked("ocfs", mark{8 << 10, "OracleCFS"}),
	marked("ocfs2", anywhere("OCFSV2", 1<<10, 2<<10, 4<<10, 8<<10)...),
	marked("oracleasm", mark{32, "ORCLDISK"}),
	marked("vxfs", mark{1 << 10, "\xF5\xFC\x01\xA5"}, mark{8 << 10, "\xA5\x01\xFC\xF5"}),
	marked("squashfs3", mark{0, "sqsh"}),
	marked("nss", mark{4 << 10, "SPB5"}),
	marked("ubifs", mark{0, "\x31\x18\x10\x06"}),
	marked("bfs", mark{0, "\xCE\xFA\xAD\x1B"}),
	marked("VMFS", mark{2 << 20, "\x5E\xF1\xAB\x2F"}),
	marked("befs", slices.Concat(anywhere("BFS1", 32, 512+32), anywhere("1SFB", 32, 512+32))...),
	checked("nilfs2", isNILFS, anywhere("\x34\x34", 1024+6, -8*sector+6)...),
	marked("mpool", mark{0, "mpoolDev"}),
	marked("apfs", mark{32, "NXSB"}),
	marked("zonefs", mark{0, "SFOZ"}),
	marked("scoutfs", mark{64<<10 + 4, "\x8B\x42\x3C\x10"}),
}

const gfsMagic = "\x01\x16\x19\x70"

// sysVPlaces are where the magic of System V's superblock is: in the second half of one of
// these blocks.
var sysVPlaces = []int64{512 + 504, 9<<10 + 512 + 504, 15<<10 + 512 + 504, 18<<10 + 512 + 504}

// swapMarks are at the end of a page of every size.
func swapMarks() (marks []mark) {
	for _, page := range pageSizes {
		for _, text := range []string{"SWAP-SPACE", "SWAPSPACE2", "S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001"} {
			marks = append(marks, mark{page - 10, text})
		}
	}
	return marks
}

// ufsMarks are the magics of the superblocks of all BSDs in either byte order, at each of
// their places.
func ufsMarks() (marks []mark) {
	const magicAt = 1372
	for _, text := range []string{"\x00\x01\x19\x54", "\x19\x54\x01\x19", "\x00\x19\x56\x12", "\x00\x09\x50\x14", "\x00\x61\x21\x95", "\x05\x23\x19\x94"} {
		other := []byte(text)
		slices.Reverse(other)
		marks = append(marks, anywhere(text, magicAt, 8<<10+magicAt, 64<<10+magicAt, 256<<10+magicAt)...)
		marks = append(marks, anywhere(string(other), magicAt, 8<<10+magicAt, 64<<10+magicAt, 256<<10+magicAt)...)
	}
	return marks
}

// minixMarks are those of three versions with two lengths of names, in either byte order.
func minixMarks() (marks []mark) {
	for _, text := range []string{"\x7F\x13", "\x8F\x13", "\x68\x24", "\x78\x24"} {
		marks = append(marks, mark{1024 + 16, text}, mark{1024 + 16, text[1:] + text[:1]})
	}
	return append(marks, mark{1024 + 24, "\x5A\x4D"}, mark{1024 + 24, "\x4D\x5A"})
}

// everySector is one text at the begin of every sector in the front of the device.
func everySector(text string) (marks []mark) {
	for at := int64(0); at < headSize; at += sector {
		marks = append(marks, mark{at, text})
	}
	return marks
}
