package dm

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTargets: the lines of a table as "dmsetup table" writes them.
func TestTargets(t *testing.T) {
	crypt := Crypt{Cipher: "aes-xts-plain64", Key: ":64:logon:cryptsetup:U-d0", IVOffset: 8, SectorSize: 4096, AllowDiscards: true}
	verity := Verity{HashType: 1, Data: "7:0", Hash: "7:1", DataBlockSize: 4096, HashBlockSize: 4096, DataBlocks: 16, HashStart: 1, Algorithm: "sha256", Root: []byte{0xab}, Salt: nil}
	for want, got := range map[string]Target{
		"0 100 linear 8:2 2048": Linear(0, 100, "8:2", 2048),
		"100 24 crypt aes-xts-plain64 :64:logon:cryptsetup:U-d0 8 8:2 32768 2 allow_discards sector_size:4096": crypt.Target(100, 24, "8:2", 32768),
		"0 8 crypt aes-xts-plain64 k 0 8:2 0":               Crypt{Cipher: "aes-xts-plain64", Key: "k", SectorSize: 512}.Target(0, 8, "8:2", 0),
		"0 128 verity 1 7:0 7:1 4096 4096 16 1 sha256 ab -": verity.Target(),
	} {
		fields := strings.SplitN(want, " ", 4)
		if got.Type != fields[2] || got.Params != fields[3] {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

// TestEncode: a table that is written is read again, each target at a multiple of 8.
func TestEncode(t *testing.T) {
	targets := []Target{Linear(0, 8, "8:2", 1), {8, 16, "crypt", strings.Repeat("x", 301)}, Linear(24, 1, "253:77", 1<<40)}
	buf := make([]byte, headerSize+payloadSize(targets))
	if err := (request{name: "vol", uuid: "CRYPT-X", targets: targets}).encode(buf); err != nil {
		t.Fatal(err)
	}
	payload, at := buf[headerSize:], 0
	for _, want := range targets {
		next := int(binary.NativeEndian.Uint32(payload[at+20:]))
		// The kernel counts from the target when it reads, and from the first when it writes.
		binary.NativeEndian.PutUint32(payload[at+20:], uint32(at+next))
		if next%8 != 0 || next < specSize+len(want.Params)+1 {
			t.Errorf("%+v takes %d bytes", want, next)
		}
		at += next
	}
	got, err := decodeTargets(payload, uint32(len(targets)))
	if err != nil || len(got) != len(targets) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range got {
		if got[i] != targets[i] {
			t.Errorf("%+v, want %+v", got[i], targets[i])
		}
	}
}

// TestHostileReplies: an answer that contradicts itself is an error.
func TestHostileReplies(t *testing.T) {
	spec := make([]byte, specSize+8)
	const short, round = "the kernel's table is cut short", "the kernel's table goes round in circles"
	for next, want := range map[uint32]string{1: round, uint32(specSize): short, 1 << 31: short, ^uint32(0): short} {
		binary.NativeEndian.PutUint32(spec[20:], next)
		if targets, err := decodeTargets(spec, 1<<31); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("next %d: %d targets: %v", next, len(targets), err)
		}
	}
	if _, err := decodeTargets(nil, 1); err == nil || !strings.Contains(err.Error(), short) {
		t.Errorf("no bytes, one target: %v", err)
	}
	if targets, err := decodeTargets(nil, 0); err != nil || targets != nil {
		t.Errorf("%v, %v", targets, err)
	}
}

// TestNames: what other tools would write differently is refused, before the kernel
// hears of it.
func TestNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "control", "a/b", "a b", "größe", "a\n", "a\x00"} {
		if checkName(name) == nil {
			t.Errorf("%q", name)
		}
	}
	if err := checkName("luks-0a1b.c_d:e@f=g#h+i"); err != nil {
		t.Error(err)
	}
	if err := (request{name: strings.Repeat("n", 128)}).encode(make([]byte, headerSize)); err == nil || !strings.Contains(err.Error(), "is too long for a device: at most 127 bytes") {
		t.Errorf("a name of 128 bytes: %v", err)
	}
}

// FuzzDecodeTargets: no answer of any kernel makes it panic or read for ever.
func FuzzDecodeTargets(f *testing.F) {
	targets := []Target{Linear(0, 8, "8:2", 1), Linear(8, 8, "8:2", 9)}
	buf := make([]byte, headerSize+payloadSize(targets))
	_ = request{command: unix.DM_TABLE_LOAD, targets: targets}.encode(buf)
	f.Add(buf[headerSize:], uint32(2))
	f.Add([]byte{}, uint32(1))
	f.Fuzz(func(t *testing.T, p []byte, count uint32) {
		targets, err := decodeTargets(p, count)
		if err == nil && len(targets) != int(count) {
			t.Errorf("%d targets of %d", len(targets), count)
		}
	})
}
