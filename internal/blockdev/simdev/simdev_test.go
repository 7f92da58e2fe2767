package simdev

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestCrashAfterKeepsWhatWasFlushed(t *testing.T) {
	d := New(make([]byte, 4096))
	one, two := bytes.Repeat([]byte{1}, 1024), bytes.Repeat([]byte{2}, 1024)
	mustWrite(t, d, one, 0)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, d, two, 512)
	seen := map[byte]bool{}
	for seed := range uint64(64) {
		image := d.CrashAfter(3, rand.New(rand.NewPCG(seed, 0))).Bytes()
		if image[0] != 1 {
			t.Fatalf("seed %d: flushed sector 0 holds %d", seed, image[0])
		}
		if image[512] != 1 && image[512] != 2 {
			t.Fatalf("seed %d: sector 1 holds %d, neither old nor new", seed, image[512])
		}
		seen[image[512]] = true
		if image[512] != image[1023] {
			t.Fatalf("seed %d: a sector is torn inside", seed)
		}
	}
	if len(seen) != 2 {
		t.Errorf("64 seeds showed only %v of sector 1's two states", seen)
	}
}

func TestFailAt(t *testing.T) {
	boom := errors.New("boom")
	d := New(make([]byte, 4096)).FailAt(1, boom, true)
	mustWrite(t, d, []byte{1, 1}, 0)
	if _, err := d.WriteAt([]byte{2, 2}, 0); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if err := d.Sync(); !errors.Is(err, boom) {
		t.Fatalf("sync after the failure: %v", err)
	}
	if got := d.Bytes()[:2]; got[0] != 2 || got[1] != 1 {
		t.Errorf("half of the write should be there: %v", got)
	}
}

func TestFailOnceAndRead(t *testing.T) {
	boom := errors.New("boom")
	d := New(make([]byte, 4096)).FailOnceAt(1, boom)
	mustWrite(t, d, []byte{1}, 0)
	if err := d.Sync(); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	mustWrite(t, d, []byte{2}, 0)
	if got := d.Bytes()[0]; got != 2 {
		t.Errorf("the write after the failure left %d", got)
	}
	d.FailReadAt(0, boom)
	if _, err := d.ReadAt(make([]byte, 1), 0); !errors.Is(err, boom) {
		t.Errorf("read: got %v", err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); err != nil || d.Reads() != 2 {
		t.Errorf("read after the failure: %v, %d reads", err, d.Reads())
	}
}

func mustWrite(t *testing.T, d *Device, p []byte, off int64) {
	t.Helper()
	if _, err := d.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}
