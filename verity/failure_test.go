package verity_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sealpart/sealpart/verity"
)

var small = verity.Superblock{
	UUID:          testUUID,
	Algorithm:     "sha256",
	DataBlockSize: 512,
	HashBlockSize: 512,
	DataBlocks:    5000,
	Salt:          []byte("salt"),
}

// journal is a hash device that keeps the writes to it in their order.
type journal struct {
	offsets []int64
	writes  [][]byte
	failAt  int // number of the write that fails, from 0; none if negative
}

func (j *journal) WriteAt(b []byte, offset int64) (int, error) {
	if len(j.writes) == j.failAt {
		return 0, iotest.ErrTimeout
	}
	j.offsets, j.writes = append(j.offsets, offset), append(j.writes, bytes.Clone(b))
	return len(b), nil
}

func smallData() []byte {
	return randomBytes(rand.New(rand.NewPCG(3, 4)), int(small.DataBlocks)*small.DataBlockSize)
}

// TestWriteOrder: an older superblock goes first, the new one comes last.
func TestWriteOrder(t *testing.T) {
	j := &journal{failAt: -1}
	if _, err := verity.Format(context.Background(), bytes.NewReader(smallData()), j, verity.Options{Superblock: small}); err != nil {
		t.Fatal(err)
	}
	last := len(j.writes) - 1
	if j.offsets[0] != 0 || len(bytes.Trim(j.writes[0], "\x00")) != 0 {
		t.Error("the first write does not erase the superblock")
	}
	if j.offsets[last] != 0 || !bytes.HasPrefix(j.writes[last], []byte("verity\x00\x00")) {
		t.Error("the last write is not the superblock")
	}
	for _, offset := range j.offsets[1:last] {
		if offset == 0 {
			t.Error("the superblock is written before the tree is whole")
		}
	}
}

// TestFormatFails at each write in turn, and never leaves a superblock.
func TestFormatFails(t *testing.T) {
	for k := 0; ; k++ {
		j := &journal{failAt: k}
		_, err := verity.Format(context.Background(), bytes.NewReader(smallData()), j, verity.Options{Superblock: small})
		if err == nil {
			if k < 4 {
				t.Fatalf("only %d writes", k)
			}
			return
		}
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("write %d failed: error %v does not say so", k, err)
		}
		for _, w := range j.writes {
			if bytes.HasPrefix(w, []byte("verity")) {
				t.Errorf("write %d failed, but the superblock was written", k)
			}
		}
	}
}

// brokenDisk cannot be read from a byte on.
type brokenDisk struct {
	io.ReaderAt
	from int64
}

func (b brokenDisk) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > b.from {
		return 0, iotest.ErrTimeout
	}
	return b.ReaderAt.ReadAt(p, offset)
}

func TestUnreadableData(t *testing.T) {
	data := smallData()
	_, err := verity.Format(context.Background(), brokenDisk{bytes.NewReader(data), 1500 * 512}, &journal{failAt: -1}, verity.Options{Superblock: small})
	if !errors.Is(err, iotest.ErrTimeout) || !strings.Contains(err.Error(), "data block 1024") {
		t.Errorf("got %v, want the error of the disk and where it was", err)
	}
	_, err = verity.Format(context.Background(), bytes.NewReader(data[:len(data)-1]), &journal{failAt: -1}, verity.Options{Superblock: small})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("data device one byte too short: got %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := verity.Options{Superblock: small, Progress: func(int64) { cancel() }}
	o.DataBlocks *= 100
	endless := io.NewSectionReader(zeros{}, 0, 1<<62)
	if _, err := verity.Format(ctx, endless, &journal{failAt: -1}, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it cancelled", err)
	}
}

// zeros is a device of zeros without an end.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func TestProgress(t *testing.T) {
	data, hashes := smallData(), tempFile(t)
	var root []byte
	for _, test := range []struct {
		name string
		run  func(progress func(done int64)) error
	}{
		{"Format", func(progress func(done int64)) (err error) {
			o := verity.Options{Superblock: small, Progress: progress}
			root, err = verity.Format(context.Background(), bytes.NewReader(data), hashes, o)
			return err
		}},
		{"Verify", func(progress func(done int64)) error {
			return verity.Verify(context.Background(), bytes.NewReader(data), hashes, root, progress)
		}},
	} {
		var last int64
		err := test.run(func(done int64) {
			if done <= last {
				t.Errorf("%s: progress from %d to %d", test.name, last, done)
			}
			last = done
		})
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if want := small.DataBlocks * int64(small.DataBlockSize); last != want {
			t.Errorf("%s: progress ended at %d of %d", test.name, last, want)
		}
	}
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestVerifyRefuses(t *testing.T) {
	d := format(t, 1)
	data, hashes := open(t, d.data), open(t, d.hash)
	if err := verity.Verify(context.Background(), data, hashes, d.root[:31], nil); err == nil || !strings.Contains(err.Error(), "root hash of 31 bytes: sha256 has 32") {
		t.Errorf("accepted a root hash of 31 bytes: %v", err)
	}
	if err := verity.Verify(context.Background(), data, io.NewSectionReader(hashes, 0, 4096), d.root, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("hash device without its tree: %v", err)
	}
	if err := verity.Verify(context.Background(), data, data, d.root, nil); !errors.Is(err, verity.ErrNoSuperblock) {
		t.Errorf("no superblock: %v", err)
	}
}
