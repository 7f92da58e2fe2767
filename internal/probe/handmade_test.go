package probe

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
)

// device is the size of a handmade one; blkid looks for no RAID on a floppy disk.
const device = 80 << 20

// handmade is content that no tool on a plain machine makes in a file.
var handmade = []struct {
	name, kind string
	fill       func(head, tail []byte) // the first and the last MiB of a device
}{
	{"raid 1.0", "linux_raid_member", func(_, b []byte) { raid1(b[1<<20-8192:], device-8192, raidID) }},
	{"raid 1.1", "linux_raid_member", func(b, _ []byte) { raid1(b, 0, raidID) }},
	{"raid 1.2", "linux_raid_member", func(b, _ []byte) { raid1(b[4096:], 4096, raidID) }},
	{"raid 0.90", "linux_raid_member", func(_, b []byte) { raid0(b, binary.LittleEndian) }},
	{"raid 0.90 big-endian", "linux_raid_member", func(_, b []byte) { raid0(b, binary.BigEndian) }},
	{"lvm2", "LVM2_member", lvm2},
	{"zfs", "zfs_member", zfs},
	{"zfs without its front", "zfs_member", func(_, b []byte) { zfs(make([]byte, 1<<20), b) }},
	{"zfs without its end", "zfs_member", func(b, _ []byte) { zfs(b, make([]byte, 1<<20)) }},
	{"iso9660", "iso9660", func(b, _ []byte) { iso(b, false) }},
	{"iso9660 joliet", "iso9660", func(b, _ []byte) { iso(b, true) }},
	{"ntfs", "ntfs", ntfs},
	{"exfat", "exfat", exfat},
	{"hibernated", "swsuspend", hibernated},
	{"integrity", "DM_integrity", func(b, _ []byte) { copy(b, "integrt\x00\x01") }},
}

// TestHandmade: blkid judges what is handmade, too.
func TestHandmade(t *testing.T) {
	for _, c := range handmade {
		t.Run(c.name, func(t *testing.T) {
			head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
			c.fill(head, tail)
			path := mkfs(t, device, "true")
			patch(t, path, 0, head)
			patch(t, path, device-1<<20, tail)
			if got := judged(t, path); got.Kind != c.kind {
				t.Errorf("content is %+v", got)
			}
		})
	}
}

// TestOneAfterTheOther: nothing of a device is seen in the next one, nor does that
// change what was said.
func TestOneAfterTheOther(t *testing.T) {
	var m image
	var said, alone []disk.Content
	for _, c := range handmade {
		head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
		c.fill(head, tail)
		for _, r := range []*hostile{{t: t, head: head, tail: tail, size: device}, {t: t, size: 64<<10 + 8}} {
			together, err := m.look(r, disk.Bytes(r.size))
			if err != nil {
				t.Fatal(err)
			}
			fresh, _ := Content(r, disk.Bytes(r.size))
			said, alone = append(said, together), append(alone, fresh)
		}
	}
	if diff := cmp.Diff(alone, said); diff != "" {
		t.Error(diff)
	}
}

var raidID = []byte("0123456789abcdef")

func hibernated(b, _ []byte) {
	copy(b[4086:], "S1SUSPEND\x00")
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], 255)
	copy(b[1036:], "0123456789abcdef")
	copy(b[1052:], "swaplabel")
}

func raid1(sb []byte, at int64, id []byte) {
	le := binary.LittleEndian
	le.PutUint32(sb, raidMagic)
	le.PutUint32(sb[4:], 1)
	copy(sb[16:], id)
	copy(sb[32:], "host:array")
	le.PutUint64(sb[144:], uint64(at/512))
	copy(sb[168:], id)
	sum := uint64(0) // calc_sb_1_csum of the kernel's md.c: 256 bytes and no devices
	for n := 0; n < 256; n += 4 {
		sum += uint64(le.Uint32(sb[n:]))
	}
	le.PutUint32(sb[216:], uint32(sum)+uint32(sum>>32))
}

func raid0(b []byte, order binary.ByteOrder) {
	sb := b[1<<20-0x10000:]
	for word, value := range map[int]uint32{0: raidMagic, 2: 90, 3: 3, 5: 0x01020304, 8: 64, 13: 0x05060708, 14: 0x090A0B0C, 15: 0x0D0E0F10} {
		order.PutUint32(sb[4*word:], value)
	}
}

func lvm2(b, _ []byte) {
	label := b[512:1024]
	copy(label, "LABELONE")
	binary.LittleEndian.PutUint64(label[8:], 1)
	binary.LittleEndian.PutUint32(label[20:], 32)
	copy(label[24:], "LVM2 001")
	copy(label[32:], "abcdefghijklmnopqrstuvwxyzABCDEF")
	binary.LittleEndian.PutUint32(label[16:], ^crc32.Update(^uint32(0xF597A6CF), crc32.IEEETable, label[20:]))
}

func zfs(head, tail []byte) {
	be := binary.BigEndian
	pair := func(name string, kind uint32, value []byte) []byte {
		p := make([]byte, 12, 64)
		be.PutUint32(p[8:], uint32(len(name)))
		p = append(append(p, name...), make([]byte, -len(name)&3)...)
		p = append(be.AppendUint32(be.AppendUint32(p, kind), 1), value...)
		be.PutUint32(p, uint32(len(p)))
		be.PutUint32(p[4:], uint32(len(p)))
		return p
	}
	for _, label := range [][]byte{head, head[256<<10:], tail[512<<10:], tail[768<<10:]} {
		list := label[16<<10 : 128<<10]
		list[0], list[1] = 1, 1
		at := 12
		for _, p := range [][]byte{
			pair("version", 8, be.AppendUint64(nil, 5000)),
			pair("name", 9, append(be.AppendUint32(nil, 4), "tank"...)),
			pair("pool_guid", 8, be.AppendUint64(nil, 1234567890123456789)),
			pair("guid", 8, be.AppendUint64(nil, 42)),
		} {
			at += copy(list[at:], p)
		}
		for n := range 4 {
			sb := label[128<<10+n*1024:]
			binary.LittleEndian.PutUint64(sb, 0xBAB10C)
			binary.LittleEndian.PutUint64(sb[8:], 5000)
		}
	}
}

func iso(b []byte, joliet bool) {
	d := b[32<<10:]
	copy(d, "\x01CD001\x01")
	copy(d[40:], "A CD                            ")
	binary.LittleEndian.PutUint32(d[80:], 100)
	binary.BigEndian.PutUint32(d[84:], 100)
	binary.LittleEndian.PutUint16(d[128:], 2048)
	binary.BigEndian.PutUint16(d[130:], 2048)
	copy(d[813:], "2026112203045500\x00")
	copy(d[830:], "0000000000000000\x00")
	end := d[2048:]
	if joliet {
		copy(end, "\x02CD001\x01")
		copy(end[40:], "\x00A\x00 \x00l\x00o\x00n\x00g\x00e\x00r\x00 \x00n\x00a\x00m\x00e")
		copy(end[88:], "%/E")
		end = end[2048:]
	}
	copy(end, "\xFFCD001\x01")
}

func ntfs(b, _ []byte) {
	le := binary.LittleEndian
	copy(b[3:], "NTFS    ")
	le.PutUint16(b[11:], 512)
	b[13], b[21] = 8, 0xF8
	le.PutUint64(b[40:], 2047)
	le.PutUint64(b[48:], 4)
	le.PutUint64(b[56:], 2)
	b[64], b[68] = 0xF6, 1 // a record is 2^10 bytes
	le.PutUint64(b[72:], 0x0123456789ABCDEF)
	copy(b[510:], "\x55\xAA")
	copy(b[4*4096:], "FILE")
	record := b[4*4096+3*1024:]
	copy(record, "FILE")
	le.PutUint16(record[20:], 56)
	name := "\x57\x00i\x00n\x00d\x00o\x00w\x00s\x00"
	a := record[56:]
	le.PutUint32(a, 0x60)
	le.PutUint32(a[4:], 40)
	le.PutUint32(a[16:], uint32(len(name)))
	le.PutUint16(a[20:], 24)
	copy(a[24:], name)
	le.PutUint32(record[28:], 1024) // allocated
	le.PutUint32(a[40:], 0xFFFFFFFF)
}

func exfat(b, _ []byte) {
	le := binary.LittleEndian
	copy(b, "\xEB\x76\x90EXFAT   ")
	le.PutUint64(b[72:], 2048)
	le.PutUint32(b[80:], 24)
	le.PutUint32(b[84:], 8)
	le.PutUint32(b[88:], 64)
	le.PutUint32(b[92:], 200)
	le.PutUint32(b[96:], 4)
	le.PutUint32(b[100:], 0xCAFE1234)
	le.PutUint16(b[104:], 0x0100)
	b[108], b[109], b[110] = 9, 3, 1
	copy(b[510:], "\x55\xAA")
	sum := uint32(0) // section 3.4 of the specification
	for n, v := range b[:11*512] {
		if n != 106 && n != 107 && n != 112 {
			sum = sum>>1 | sum<<31
			sum += uint32(v)
		}
	}
	for n := 11 * 512; n < 12*512; n += 4 {
		le.PutUint32(b[n:], sum)
	}
	copy(b[(64+2*8)*512:], "\x83\x05S\x00t\x00i\x00c\x00k\x00")
}
