package gpt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// TestClaim: what is claimed is there for the next run, changes nothing that a checksum covers,
// adds up, and goes with the next table that is published.
func TestClaim(t *testing.T) {
	const size = 16 * disk.MiB
	dev := simdev.New(make([]byte, size))
	fresh, err := New(size, 512, uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dev, fresh, fresh.Table)
	first, second := disk.Extent{Offset: disk.MiB, Size: disk.MiB}, disk.Extent{Offset: 4 * disk.MiB, Size: 4096}
	for _, claim := range [][]disk.Extent{{first}, {second, first}, {second}} {
		s := reread(t, dev)
		if err := s.Apply(dev, s.Claim(claim)); err != nil {
			t.Fatal(err)
		}
	}
	s := reread(t, dev)
	if d := cmp.Diff([]disk.Extent{first, second}, s.Claims()); d != "" {
		t.Error(d)
	}
	if len(s.Warnings) > 0 || len(s.Claim([]disk.Extent{first})) > 0 {
		t.Errorf("warnings %v, or a claim that is there is written again", s.Warnings)
	}
	write(t, dev, s, s.Table)
	if s = reread(t, dev); len(s.Claims()) != 2 {
		t.Errorf("a table that is only mended loses the claims: %v", s.Claims())
	}
	s.Release()
	write(t, dev, s, s.Table)
	if s = reread(t, dev); len(s.Claims()) != 0 {
		t.Errorf("claims are left: %v", s.Claims())
	}
}

// TestClaimElsewhere: reserved bytes that are somebody else's stay, and forged claims that lie
// on no disk are none.
func TestClaimElsewhere(t *testing.T) {
	const size = 16 * disk.MiB
	dev := simdev.New(make([]byte, size))
	fresh, err := New(size, 512, uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dev, fresh, fresh.Table)
	put := func(text string, at int64) *State {
		if _, err := dev.WriteAt([]byte(text), 512+at); err != nil {
			t.Fatal(err)
		}
		return reread(t, dev)
	}
	if writes := put("somebody's", 300).Claim([]disk.Extent{{Offset: disk.MiB, Size: 4096}}); len(writes) > 0 {
		t.Errorf("over other bytes: %+v", writes)
	}
	forged := put(claimMagic+"\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f", claimAt)
	if claims := forged.Claims(); len(claims) > 0 {
		t.Errorf("believed: %+v", claims)
	}
}

// write publishes a table without partitions.
func write(t *testing.T, dev *simdev.Device, s *State, table disk.Table) {
	t.Helper()
	writes, err := s.Writes(table, s.Entries, dev.Size())
	if err == nil {
		err = s.Apply(dev, writes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func reread(t *testing.T, dev *simdev.Device) *State {
	t.Helper()
	s, err := Read(dev, dev.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
