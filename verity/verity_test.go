package verity_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	oracle "github.com/containerd/go-dmverity/pkg/verity"
	"github.com/google/uuid"

	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/verity"
)

var testUUID = uuid.MustParse("6a45b8c2-1f0e-4c67-9d3a-0b5e7f9a1c2d")

// shapes are the geometries that a tree can get wrong.
var shapes = []struct {
	data, hash int
	blocks     int64
	algorithm  string
	salt       int
}{
	{4096, 4096, 1, "sha256", 32},
	{4096, 4096, 2, "sha256", 32},
	{4096, 4096, 127, "sha256", 0},
	{4096, 4096, 128, "sha256", 32},
	{4096, 4096, 129, "sha256", 32},
	{1024, 4096, 128*128 + 1, "sha256", 32},
	{512, 512, 1, "sha256", 32},
	{512, 512, 16, "sha256", 64},
	{512, 512, 16*16*16 + 1, "sha256", 32},
	{512, 4096, 1000, "sha256", 256},
	{4096, 512, 1000, "sha256", 32},
	{1024, 1024, 2049, "sha256", 1},
	{4096, 1024, 700, "sha512", 32},
	{512, 512, 8*8*8*8 + 1, "sha512", 0},
	{4096, 4096, 64*64 + 1, "sha384", 32},
	{4096, 4096, 300, "sha3-256", 32},
	{1024, 512, 300, "sha3-512", 32},
	{65536, 4096, 33, "sha256", 32},
	{512 << 10, 64 << 10, 3, "sha256", 32},
	{512, 512, 40000, "sha256", 32},
}

// device is a data device and its hash device, in files.
type device struct {
	data, hash string
	options    verity.Options
	root       []byte
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// format makes a device of a shape with our own code. A few bytes that are no
// whole block follow the data.
func format(t testing.TB, shape int) device {
	t.Helper()
	s, rng := shapes[shape], rand.New(rand.NewPCG(7, uint64(shape)))
	dir := t.TempDir()
	d := device{data: filepath.Join(dir, "data"), hash: filepath.Join(dir, "hash")}
	d.options.Superblock = verity.Superblock{
		UUID:          testUUID,
		Algorithm:     s.algorithm,
		DataBlockSize: s.data,
		HashBlockSize: s.hash,
		DataBlocks:    s.blocks,
		Salt:          randomBytes(rng, s.salt),
	}
	content := randomBytes(rng, int(s.blocks)*s.data+min(100, s.data-1))
	if err := os.WriteFile(d.data, content, 0o600); err != nil {
		t.Fatal(err)
	}
	hashes, err := os.Create(d.hash)
	if err != nil {
		t.Fatal(err)
	}
	defer hashes.Close()
	if d.root, err = verity.Format(context.Background(), bytes.NewReader(content), hashes, d.options); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d device) verify(t testing.TB) error {
	t.Helper()
	return verity.Verify(context.Background(), open(t, d.data), open(t, d.hash), d.root, nil)
}

func open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func forEachShape(t *testing.T, test func(t *testing.T, shape int)) {
	for i, s := range shapes {
		t.Run(fmt.Sprintf("%d-%d-%s-%d-salt%d", s.data, s.hash, s.algorithm, s.blocks, s.salt), func(t *testing.T) {
			test(t, i)
		})
	}
}

// TestVeritysetup holds every byte to veritysetup's, both ways: it makes the same
// hash device, accepts ours, and we accept its.
func TestVeritysetup(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	program := testenv.Need(t, "veritysetup")
	forEachShape(t, func(t *testing.T, shape int) {
		d := format(t, shape)
		theirs := d.hash + ".veritysetup"
		root := veritysetupFormat(t, program, d, theirs)
		if root != hex.EncodeToString(d.root) {
			t.Errorf("root hash %x, veritysetup has %s", d.root, root)
		}
		sameFiles(t, d.hash, theirs)
		if size, err := d.options.TreeSize(); err != nil || size != fileSize(t, theirs) {
			t.Errorf("tree size %d (%v), veritysetup's is %d", size, err, fileSize(t, theirs))
		}
		if out, err := exec.Command(program, "verify", d.data, d.hash, root).CombinedOutput(); err != nil {
			t.Errorf("veritysetup verify: %v\n%s", err, out)
		}
		if err := d.verify(t); err != nil {
			t.Error(err)
		}
	})
}

func veritysetupFormat(t *testing.T, program string, d device, hash string) (root string) {
	t.Helper()
	salt := "-"
	if len(d.options.Salt) > 0 {
		salt = hex.EncodeToString(d.options.Salt)
	}
	out, err := exec.Command(program, "format", "--uuid", d.options.UUID.String(), "--salt", salt,
		"--hash", d.options.Algorithm, "--data-blocks", strconv.FormatInt(d.options.DataBlocks, 10),
		"--data-block-size", strconv.Itoa(d.options.DataBlockSize),
		"--hash-block-size", strconv.Itoa(d.options.HashBlockSize), d.data, hash).CombinedOutput()
	if err != nil {
		t.Fatalf("veritysetup format: %v\n%s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "Root hash:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		t.Fatalf("veritysetup format printed no root hash:\n%s", out)
	}
	return fields[0]
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			t.Fatalf("byte %d is %#x in %s and %#x in %s", i, x[i], a, y[i], b)
		}
	}
	if len(x) != len(y) {
		t.Fatalf("%s has %d bytes, %s has %d", a, len(x), b, len(y))
	}
}

// TestSecondOracle has go-dmverity verify what we make, where it knows the hash:
// it takes sha256 for any name it does not know.
func TestSecondOracle(t *testing.T) {
	forEachShape(t, func(t *testing.T, shape int) {
		d := format(t, shape)
		if o := d.options; o.Algorithm != "sha256" && o.Algorithm != "sha512" || o.DataBlockSize != o.HashBlockSize {
			t.Skip("go-dmverity cannot judge this shape")
		}
		params := oracle.DefaultParams()
		params.HashName, params.UUID = d.options.Algorithm, d.options.UUID
		params.DataBlockSize, params.HashBlockSize = uint32(d.options.DataBlockSize), uint32(d.options.HashBlockSize)
		params.DataBlocks, params.HashType = uint64(d.options.DataBlocks), 1
		params.Salt, params.SaltSize = d.options.Salt, uint16(len(d.options.Salt))
		if err := oracle.Verify(&params, d.data, d.hash, d.root); err != nil {
			t.Error(err)
		}
	})
}

// TestDump has veritysetup read back each field of the superblock.
func TestDump(t *testing.T) {
	d := format(t, 12)
	out, err := exec.Command(testenv.Need(t, "veritysetup"), "dump", d.hash).CombinedOutput()
	if err != nil {
		t.Fatalf("veritysetup dump: %v\n%s", err, out)
	}
	got := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		"UUID: " + testUUID.String(), "Hash type: 1", "Data blocks: 700", "Data block size: 4096",
		"Hash block size: 1024", "Hash algorithm: sha512", "Salt: " + hex.EncodeToString(d.options.Salt),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("veritysetup dump has no %q:\n%s", want, out)
		}
	}
	sb, err := verity.ReadSuperblock(open(t, d.hash))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(sb) != fmt.Sprint(d.options.Superblock) {
		t.Errorf("read back %v, wrote %v", sb, d.options.Superblock)
	}
}

// TestCorruption changes one byte at a time and wants the block named; veritysetup
// must agree that something is wrong.
func TestCorruption(t *testing.T) {
	program := testenv.Need(t, "veritysetup")
	// Shape 8 has 4097 data blocks and 16 hashes a block: levels of 257, 17, 2
	// and 1 blocks, the last first on the device.
	const top, level2, level1, level0 = 1 * 512, 2 * 512, 4 * 512, 21 * 512
	for _, test := range []struct {
		name   string
		inData bool
		offset int64
		want   verity.CorruptError
	}{
		{"first data block", true, 0, verity.CorruptError{Level: -1}},
		{"a data block", true, 77*512 + 511, verity.CorruptError{Level: -1, Block: 77, Offset: 77 * 512}},
		{"last data block", true, 4096 * 512, verity.CorruptError{Level: -1, Block: 4096, Offset: 4096 * 512}},
		{"top block", false, top + 3, verity.CorruptError{Level: 3, Offset: top, Root: true}},
		{"padding of the top block", false, top + 511, verity.CorruptError{Level: 3, Offset: top, Root: true}},
		{"level 2", false, level2 + 512, verity.CorruptError{Level: 2, Block: 1, Offset: level2 + 512}},
		{"level 1", false, level1 + 16*512, verity.CorruptError{Level: 1, Block: 16, Offset: level1 + 16*512}},
		{"level 0", false, level0 + 200*512 + 9, verity.CorruptError{Level: 0, Block: 200, Offset: level0 + 200*512}},
		{"end of the tree", false, level0 + 257*512 - 1, verity.CorruptError{Level: 0, Block: 256, Offset: level0 + 256*512}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := format(t, 8)
			name := d.hash
			if test.inData {
				name = d.data
			}
			flip(t, name, test.offset)
			wantCorrupt(t, d.verify(t), test.want)
			if exec.Command(program, "verify", d.data, d.hash, hex.EncodeToString(d.root)).Run() == nil {
				t.Error("veritysetup finds nothing wrong")
			}
		})
	}
}

func flip(t *testing.T, name string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}

func wantCorrupt(t *testing.T, err error, want verity.CorruptError) {
	t.Helper()
	var got *verity.CorruptError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want %v", err, &want)
	}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}
