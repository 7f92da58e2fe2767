package luks2

import (
	"runtime"
	"testing"
)

// TestArgon2Memory: what Argon2 worked in is not kept for the next run.
func TestArgon2Memory(t *testing.T) {
	k := KDF{Type: "argon2id", Time: 4, MemoryKiB: 64 << 10, CPUs: 1}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := k.derive(t.Context(), []byte("passphrase"), make([]byte, 32), 64); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	held := func(m runtime.MemStats) uint64 { return m.HeapSys - m.HeapReleased }
	if taken := after.TotalAlloc - before.TotalAlloc; taken < 64<<20 {
		t.Fatalf("a run took %d bytes", taken)
	}
	if held(after) > held(before)+32<<20 {
		t.Errorf("%d bytes of memory are held after a run, %d before", held(after), held(before))
	}
}
