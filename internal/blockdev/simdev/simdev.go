// Package simdev is a disk in memory for tests. It records every write and sync,
// can fail at any of them, and can show every state in which a power cut would
// have left the disk.
//
// The model is that of storage which honours flush: what was written before a
// Sync that returned is there; of what was written since, any subset of 512-byte
// sectors is.
package simdev

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/sealpart/sealpart/disk"
)

// tear is the unit that storage writes whole.
const tear = 512

// Op is one recorded operation.
type Op struct {
	Offset int64
	Data   []byte // written bytes; zeroes for a discard
	Sync   bool   // a Sync; Offset and Data are empty
}

// Device is a blockdev.Device in memory.
type Device struct {
	mu      sync.Mutex
	initial *image // never written to
	current *image
	log     []Op
	sector  disk.Bytes
	fault   fault
	ops     int // writes and syncs that were asked for
	reads   int // reads that were asked for
}

// fault is a failure to inject.
type fault struct {
	at    int   // operation number to fail at
	err   error // nil: no fault
	short bool  // half of a failing write is written
	once  bool  // later operations work again
	read  bool  // at counts reads
}

// New returns a device that holds content; content must not change afterwards, and
// the device does not change it.
func New(content []byte) *Device {
	initial := newImage(content)
	return &Device{initial: initial, current: initial.copy()}
}

// WithSectorSize makes the device report a logical block size, as a block device does.
func (d *Device) WithSectorSize(n disk.Bytes) *Device {
	d.sector = n
	return d
}

// FailAt makes operation n (writes and syncs, counted from 0) return err, and all
// later ones too. With short set, half of a failing write is written first.
func (d *Device) FailAt(n int, err error, short bool) *Device {
	d.fault = fault{at: n, err: err, short: short}
	return d
}

// FailOnceAt makes operation n return err; later ones work again, as on a disk with
// one bad moment. Code that does not look at an error is found by it.
func (d *Device) FailOnceAt(n int, err error) *Device {
	d.fault = fault{at: n, err: err, once: true}
	return d
}

// FailReadAt makes read n, counted from 0, return err; other reads work.
func (d *Device) FailReadAt(n int, err error) *Device {
	d.fault = fault{at: n, err: err, once: true, read: true}
	return d
}

// Reads returns how many reads there were so far.
func (d *Device) Reads() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads
}

// Bytes returns what the device holds now.
func (d *Device) Bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	content := make([]byte, d.current.size)
	d.current.read(content, 0)
	return content
}

// Log returns the operations so far.
func (d *Device) Log() []Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log[:len(d.log):len(d.log)]
}

// Name returns "simdev".
func (d *Device) Name() string { return "simdev" }

// Size returns the length of the content.
func (d *Device) Size() disk.Bytes { return disk.Bytes(d.current.size) }

// SectorSize returns what WithSectorSize set, 0 (an image file) by default.
func (d *Device) SectorSize() disk.Bytes { return d.sector }

// ReadAt reads what was last written.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if err := d.fault.hit(d.reads-1, true); err != nil {
		return 0, err
	}
	if off < 0 || off >= d.current.size {
		return 0, io.EOF
	}
	if rest := d.current.size - off; rest < int64(len(p)) {
		d.current.read(p[:rest], off)
		return int(rest), io.EOF
	}
	d.current.read(p, off)
	return len(p), nil
}

// WriteAt writes and records.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	return d.writeOwn(bytes.Clone(p), off)
}

// writeOwn writes p and takes it over.
func (d *Device) writeOwn(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0 || off+int64(len(p)) > d.current.size {
		return 0, fmt.Errorf("simdev: write of %d bytes at %d is beyond %d", len(p), off, d.current.size)
	}
	d.ops++
	if err := d.fault.hit(d.ops-1, false); err != nil {
		if d.fault.short {
			d.write(p[:len(p)/2], off)
		}
		return 0, err
	}
	d.write(p, off)
	return len(p), nil
}

// Sync records a flush.
func (d *Device) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops++
	if err := d.fault.hit(d.ops-1, false); err != nil {
		return err
	}
	d.log = append(d.log, Op{Sync: true})
	return nil
}

// Discard zeroes e, as punching a hole in a file does.
func (d *Device) Discard(e disk.Extent) error {
	_, err := d.writeOwn(make([]byte, e.Size), int64(e.Offset))
	return err
}

// write takes p over.
func (d *Device) write(p []byte, off int64) {
	d.log = append(d.log, Op{Offset: off, Data: p})
	d.current.write(p, off)
}

// hit returns the injected error where operation n is to fail.
func (f fault) hit(n int, read bool) error {
	if read != f.read || n < f.at || (f.once && n > f.at) {
		return nil
	}
	return f.err
}

// CrashAfter returns a fresh device in a state that a power cut after the first k
// operations could have left. Of every write since the last Sync, each sector is
// kept or lost by rng; rng nil keeps all of them.
func (d *Device) CrashAfter(k int, rng *rand.Rand) *Device {
	state := d.initial.copy()
	flushed := 0
	for i, op := range d.log[:k] {
		if op.Sync {
			flushed = i
		}
	}
	for i, op := range d.log[:k] {
		if i < flushed || rng == nil {
			state.write(op.Data, op.Offset)
			continue
		}
		keepSome(state, op, rng)
	}
	return &Device{initial: state, current: state.copy()}
}

// keepSome applies a random part of op: nothing, all, or each sector by a coin.
func keepSome(state *image, op Op, rng *rand.Rand) {
	mode := rng.IntN(3)
	for from := 0; from < len(op.Data); {
		off := op.Offset + int64(from)
		n := min(int(tear-off%tear), len(op.Data)-from)
		if mode == 1 || (mode == 2 && rng.IntN(2) == 0) {
			state.write(op.Data[from:from+n], off)
		}
		from += n
	}
}
