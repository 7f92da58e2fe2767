package probe

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// sample is the signature of something that is never worked on: bytes at places, of
// which negative ones count from the device's end.
type sample struct {
	kind string
	put  map[int64]string
	// alone is set where blkid says nothing: it is too old for the kind here, or asks for more
	// than the signature, while damaged is not empty.
	alone bool
}

var le, be = binary.LittleEndian, binary.BigEndian

func le16(v uint16) string { return string(le.AppendUint16(nil, v)) }
func le32(v uint32) string { return string(le.AppendUint32(nil, v)) }
func le64(v uint64) string { return string(le.AppendUint64(nil, v)) }
func be16(v uint16) string { return string(be.AppendUint16(nil, v)) }
func be32(v uint32) string { return string(be.AppendUint32(nil, v)) }

// samples are by the public descriptions of the formats: of all kinds that blkid knows
// and no program on a plain machine makes, and of some that it does not know.
var samples = []sample{
	{kind: "ddf_raid_member", put: map[int64]string{-512: ddf()}},
	{kind: "ddf_raid_member", put: map[int64]string{-257 * 512: ddf()}},
	{kind: "isw_raid_member", put: map[int64]string{-1024: "Intel Raid ISM Cfg Sig. 1.1.00"}},
	{kind: "lsi_mega_raid_member", put: map[int64]string{-512: "$XIDE$"}},
	{kind: "via_raid_member", put: map[int64]string{-512: via()}},
	{kind: "silicon_medley_raid_member", put: map[int64]string{-512: silicon()}},
	{kind: "nvidia_raid_member", put: map[int64]string{-1024: nvidia()}},
	{kind: "promise_fasttrack_raid_member", put: map[int64]string{-63 * 512: "Promise Technology, Inc."}},
	{kind: "promise_fasttrack_raid_member", put: map[int64]string{-3087 * 512: "Promise Technology, Inc."}},
	{kind: "hpt45x_raid_member", put: map[int64]string{-11 * 512: le32(0x5a7816f3)}},
	{kind: "hpt37x_raid_member", put: map[int64]string{9*512 + 32: le32(0x5a7816f0)}},
	{kind: "adaptec_raid_member", put: map[int64]string{-512: be32(0x37FC4D1E), -256: "DPTM"}},
	{kind: "jmicron_raid_member", put: map[int64]string{-512: jmicron()}},
	{kind: "bcache", put: map[int64]string{4096 + 8: le64(8), 4096 + 24: bcacheMagic}, alone: true},
	{kind: "ceph_bluestore", put: map[int64]string{0: "bluestore block device\n"}},
	{kind: "drbd", put: drbd("\x83\x74\x02\x6b")},
	{kind: "drbd", put: drbd("\x83\x74\x02\x6c")},
	{kind: "drbd", put: drbd("\x83\x74\x02\x6d")},
	{kind: "drbdmanage_control_volume", put: map[int64]string{0: "$DRBDmgr=q" + strings.Repeat("0123456789abcdef", 2) + "\n"}, alone: true},
	{kind: "drbdproxy_datalog", put: map[int64]string{0: "DRBDdlh*" + le64(1)}},
	{kind: "LVM1_member", put: map[int64]string{0: "HM\x01\x00"}},
	{kind: "DM_snapshot_cow", put: map[int64]string{0: "SnAp"}},
	{kind: "VMFS_volume_member", put: map[int64]string{1 << 20: le32(0xc001d00d)}},
	{kind: "VMFS", put: map[int64]string{2 << 20: le32(0x2fabf15e)}},
	{kind: "ubi", put: map[int64]string{0: ubi()}},
	{kind: "vdo", put: map[int64]string{0: "dmvdo001"}},
	{kind: "stratis", put: map[int64]string{512 + 4: "!Stra0tis\x86\xff\x02^\x41rh"}, alone: true},
	{kind: "stratis", put: map[int64]string{9*512 + 4: "!Stra0tis\x86\xff\x02^\x41rh"}, alone: true},
	{kind: "BitLocker", put: map[int64]string{0: "\xeb\x52\x90-FVE-FS-"}},
	{kind: "BitLocker", put: map[int64]string{0: "\xeb\x58\x90-FVE-FS-", 176: le64(1 << 20), 1 << 20: "-FVE-FS-"}},
	{kind: "BitLocker", put: map[int64]string{424: "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"}, alone: true},
	{kind: "cs_fvault2", put: map[int64]string{0: coreStorage()}, alone: true},
	{kind: "ldm", put: map[int64]string{6 * 512: "PRIVHEAD"}, alone: true},
	{kind: "geom", put: map[int64]string{-512: "GEOM::ELI"}, alone: true},

	{kind: "bcachefs", put: map[int64]string{4096 + 24: "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"}, alone: true},
	{kind: "bcachefs", put: map[int64]string{-1<<20 + 24: "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"}, alone: true},
	{kind: "xfs_external_log", put: map[int64]string{0: be32(0xfeedbabe) + be32(1) + be32(2) + be32(512), 300: be32(1)}},
	{kind: "exfs", put: map[int64]string{0: "EXFS"}, alone: true},
	{kind: "reiserfs", put: map[int64]string{64<<10 + 12: le32(18), 64<<10 + 44: le16(4096), 64<<10 + 52: "ReIsEr2Fs"}},
	{kind: "reiserfs", put: map[int64]string{8<<10 + 12: le32(18), 8<<10 + 44: le16(4096), 8<<10 + 52: "ReIsErFs"}},
	{kind: "reiser4", put: map[int64]string{64 << 10: "ReIsEr4", 64<<10 + 19: "\x10"}},
	{kind: "jfs", put: map[int64]string{32 << 10: "JFS1", 32<<10 + 16: le32(4096) + le16(12) + le16(3) + le32(512) + le16(9)}},
	{kind: "udf", put: udf(2048)},
	{kind: "udf", put: udf(512)},
	{kind: "udf", put: map[int64]string{32<<10 + 1: "BEA01", 32<<10 + 4096 + 1: "NSR03"}, alone: true},
	{kind: "hfsplus", put: map[int64]string{1024: "H+" + be16(4), 1024 + 40: be32(4096)}},
	{kind: "hfsplus", put: map[int64]string{1024: "HX" + be16(5), 1024 + 40: be32(4096)}},
	{kind: "hfsplus", put: map[int64]string{1024: "BD", 1024 + 20: be32(4096), 1024 + 28: be16(16), 1024 + 124: "H+" + be16(1), 8192 + 4096 + 1024: "H+" + be16(4), 8192 + 4096 + 1024 + 40: be32(4096)}},
	{kind: "hfs", put: map[int64]string{1024: "BD", 1024 + 20: be32(4096)}},
	{kind: "ufs", put: map[int64]string{64<<10 + 1372: le32(0x19540119)}},
	{kind: "ufs", put: map[int64]string{8<<10 + 1372: be32(0x00011954)}},
	{kind: "ufs", put: map[int64]string{256<<10 + 1372: le32(0x00011954)}},
	{kind: "hpfs", put: map[int64]string{8 << 10: "\x49\xe8\x95\xf9", 8<<10 + 512: "\x49\x18\x91\xf9"}},
	{kind: "sysv", put: map[int64]string{512 + 504: le32(0xfd187e20)}},
	{kind: "sysv", put: map[int64]string{18<<10 + 512 + 504: be32(0xfd187e20)}},
	{kind: "xenix", put: map[int64]string{2048: "\x2b\x55\x44"}},
	{kind: "ReFS", put: map[int64]string{0: "\x00\x00\x00ReFS\x00"}},
	{kind: "cramfs", put: map[int64]string{0: le32(0x28cd3d45)}},
	{kind: "romfs", put: map[int64]string{0: "-rom1fs-" + be32(16) + be32(0xA1271D56)}},
	{kind: "minix", put: map[int64]string{1024: minixOf(le, 0x138f)}},
	{kind: "minix", put: map[int64]string{1024: minixOf(be, 0x137f)}, alone: true},
	{kind: "minix", put: map[int64]string{1024: minixOf(le, 0x2478)}},
	{kind: "gfs", put: map[int64]string{64 << 10: "\x01\x16\x19\x70" + be32(1), 64<<10 + 24: be32(1309) + be32(1401)}},
	{kind: "gfs2", put: map[int64]string{64 << 10: "\x01\x16\x19\x70" + be32(1), 64<<10 + 24: be32(1801) + be32(1900)}},
	{kind: "ocfs", put: map[int64]string{8 << 10: "OracleCFS"}},
	{kind: "ocfs2", put: map[int64]string{2 << 10: "OCFSV2"}},
	{kind: "oracleasm", put: map[int64]string{32: "ORCLDISK"}},
	{kind: "vxfs", put: map[int64]string{1 << 10: le32(0xa501fcf5)}},
	{kind: "vxfs", put: map[int64]string{8 << 10: be32(0xa501fcf5)}},
	{kind: "squashfs3", put: map[int64]string{0: "hsqs", 28: le16(3) + le16(1)}},
	{kind: "squashfs3", put: map[int64]string{0: "sqsh", 28: be16(3) + be16(1)}},
	{kind: "nss", put: map[int64]string{4 << 10: "SPB5"}},
	{kind: "ubifs", put: map[int64]string{0: le32(0x06101831)}, alone: true},
	{kind: "bfs", put: map[int64]string{0: le32(0x1badface)}},
	{kind: "befs", put: map[int64]string{32: "1SFB"}, alone: true},
	{kind: "nilfs2", put: map[int64]string{1024: nilfs()}},
	{kind: "nilfs2", put: map[int64]string{-4096: nilfs()}},
	{kind: "mpool", put: map[int64]string{0: "mpoolDev"}, alone: true},
	{kind: "apfs", put: map[int64]string{32: "NXSB"}, alone: true},
	{kind: "zonefs", put: map[int64]string{0: "SFOZ"}, alone: true},
	{kind: "scoutfs", put: map[int64]string{64<<10 + 4: "\x8b\x42\x3c\x10"}, alone: true},

	{kind: "aix", put: map[int64]string{0: "\xc9\xc2\xd4\xc1"}},
	{kind: "sgi", put: map[int64]string{0: "\x0b\xe5\xa9\x41"}, alone: true},
	{kind: "sun", put: map[int64]string{508: "\xda\xbe\xda\xbe"}},
	{kind: "mac", put: map[int64]string{0: "ER" + be16(512), 512: "PM\x00\x00"}},
	{kind: "mac", put: map[int64]string{512: "PM\x00\x00"}, alone: true},
	{kind: "bsd", put: map[int64]string{512: le32(0x82564557)}, alone: true},
	{kind: "solaris", put: map[int64]string{512 + 12: le32(0x600ddeee)}, alone: true},
	{kind: "ultrix", put: map[int64]string{16<<10 - 72: le32(0x032957) + le32(1)}},
	{kind: "dasd", put: map[int64]string{4096: "\xd3\xd5\xe7\xf1"}, alone: true},
}

// TestSamples: nothing that blkid knows is taken for nothing, or for something else.
func TestSamples(t *testing.T) {
	path := mkfs(t, device, "true")
	for _, s := range samples {
		t.Run(s.kind, func(t *testing.T) {
			for at, bytes := range s.put {
				patch(t, path, placed(at), []byte(bytes))
			}
			if got := probed(t, path); got.Kind != s.kind || got.Ambiguous != nil {
				t.Errorf("we say %+v", got)
			}
			if named := namedByBlkid(t, path); named != s.kind && (named != "" || !s.alone) {
				t.Errorf("blkid says %q", named)
			}
			for at, bytes := range s.put {
				patch(t, path, placed(at), make([]byte, len(bytes)))
			}
		})
	}
	if got := probed(t, path); got.Kind != "" {
		t.Errorf("afterwards there is %+v", got)
	}
}

// TestSamplesAreNotAlone: beside a file system that is converted, every sample makes the
// content something else, or ambiguous.
func TestSamplesAreNotAlone(t *testing.T) {
	path := mkfs(t, device, "mke2fs -q -F -t ext4 -b 4096 IMG")
	for _, s := range samples {
		saved := map[int64][]byte{}
		for at, bytes := range s.put {
			saved[at] = read(t, path, placed(at), len(bytes))
			patch(t, path, placed(at), []byte(bytes))
		}
		if got := probed(t, path); got.Kind == "ext4" && got.Ambiguous == nil && got.Problem == "" {
			t.Errorf("%s is not seen: %+v", s.kind, got)
		}
		for at, bytes := range saved {
			patch(t, path, placed(at), bytes)
		}
	}
	if got := probed(t, path); got.Kind != "ext4" || got.Ambiguous != nil {
		t.Errorf("afterwards there is %+v", got)
	}
}

func placed(at int64) int64 {
	if at < 0 {
		return device + at
	}
	return at
}

// namedByBlkid returns the kind that blkid gives an image, "" where it knows none.
func namedByBlkid(t testing.TB, path string) string {
	t.Helper()
	var exit *exec.ExitError
	out, err := exec.Command(testenv.Need(t, "blkid"), "-p", "-o", "value", "-s", "TYPE", "-s", "PTTYPE", path).Output()
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func ddf() string {
	b := make([]byte, 512)
	copy(b, ddfMagic)
	copy(b[8:], "LSI     0123456789ABCDEF01.02.00")
	copy(b[4:], "\xff\xff\xff\xff") // as the specification counts it
	be.PutUint32(b[4:], crc32.ChecksumIEEE(b))
	return string(b)
}

func via() string {
	b := make([]byte, 51)
	copy(b, "\x55\xaa\x01") // whose sum is 256
	return string(b)
}

func silicon() string {
	b := make([]byte, 512)
	le.PutUint32(b[0x60:], 0x2F000000)
	le.PutUint16(b[0x13E:], 0x10000-0x2F00)
	return string(b)
}

func nvidia() string {
	b := make([]byte, 120)
	copy(b, "NVIDIA  ")
	le.PutUint32(b[8:], 30)
	sum := uint32(0)
	for n := 0; n < 120; n += 4 {
		sum += le.Uint32(b[n:])
	}
	le.PutUint32(b[12:], -sum)
	return string(b)
}

func jmicron() string {
	b := make([]byte, 128)
	copy(b, "JM\x01\x00")
	le.PutUint16(b[4:], 0x10000-0x4D4A-1)
	return string(b)
}

func drbd(magic string) map[int64]string {
	return map[int64]string{-4096 + 60: magic, -4096 + 80: be32(4096)}
}

func ubi() string {
	b := make([]byte, 64)
	copy(b, "UBI#\x01")
	be.PutUint32(b[60:], ^crc32.ChecksumIEEE(b[:60]))
	return string(b)
}

func coreStorage() string {
	b := make([]byte, 512)
	le.PutUint32(b[4:], 0xFFFFFFFF)
	le.PutUint16(b[8:], 1)
	copy(b[88:], "CS")
	le.PutUint32(b, ^crc32.Checksum(b[8:], castagnoli))
	return string(b)
}

func udf(block int64) map[int64]string {
	return map[int64]string{
		32<<10 + 1: "BEA01", 34<<10 + 1: "NSR02", 36<<10 + 1: "TEA01",
		256 * block: le16(2), 256*block + 12: le32(256),
	}
}

func minixOf(order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}, magic uint16) string {
	var b []byte
	for _, v := range []uint16{64, 1000, 1, 1, 6, 0, 0, 0, magic, 1} {
		b = order.AppendUint16(b, v)
	}
	return string(order.AppendUint32(b, 1000))
}

func nilfs() string {
	b := make([]byte, 264)
	le.PutUint16(b[6:], 0x3434)
	le.PutUint16(b[8:], uint16(len(b)))
	le.PutUint32(b[12:], 0x12345678)
	le.PutUint64(b[32:], device)
	le.PutUint32(b[16:], ^crc32.Update(^uint32(0x12345678), crc32.IEEETable, b))
	return string(b)
}

// read returns bytes of an image.
func read(t testing.TB, path string, offset int64, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.ReadAt(data, offset); err != nil {
		t.Fatal(err)
	}
	return data
}
