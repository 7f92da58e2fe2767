package luks2

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/argon2"
)

// TestArgon2SameAsReference compares with the package argon2, which has the vectors of RFC
// 9106, in each shape: lanes, passes, memory that is no multiple, sizes of the hash.
func TestArgon2SameAsReference(t *testing.T) {
	secret, salt := []byte("passphrase"), []byte("0123456789abcdef0123456789abcdef")
	for _, time := range []uint32{1, 2, 5} {
		for _, memory := range []uint32{1, 8, 33, 500, 4096} {
			for _, threads := range []uint32{1, 3, 4} {
				for _, size := range []int{16, 64, 65, 100} {
					for mode, reference := range map[int]func(p, s []byte, t, m uint32, c uint8, n uint32) []byte{argon2i: argon2.Key, argon2id: argon2.IDKey} {
						got, err := argon2Key(t.Context(), mode, secret, salt, time, memory, threads, size)
						check(t, err)
						if want := reference(secret, salt, time, memory, uint8(threads), uint32(size)); !bytes.Equal(got, want) {
							t.Fatalf("mode %d, %d passes, %d KiB, %d lanes, %d bytes: %x, not %x", mode, time, memory, threads, size, got, want)
						}
					}
				}
			}
		}
	}
}

func TestPBKDF2SameAsReference(t *testing.T) {
	for _, name := range []string{"sha1", "sha224", "sha256", "sha384", "sha512"} {
		for _, secretSize := range []int{0, 10, 64, 65, 128, 200} {
			for _, size := range []int{16, 32, 64, 100} {
				secret, salt := bytes.Repeat([]byte{7}, secretSize), []byte("some salt")
				newHash, err := newHash(name)
				check(t, err)
				want, err := pbkdf2.Key(newHash, string(secret), salt, 1500, size)
				check(t, err)
				got, err := pbkdf2Key(t.Context(), name, secret, salt, 1500, size)
				check(t, err)
				if !bytes.Equal(got, want) {
					t.Errorf("%s, secret of %d bytes: %x, not %x", name, secretSize, got, want)
				}
			}
		}
	}
}

// costly are KDFs that take minutes.
var costly = []KDF{
	{Type: "argon2id", Time: 1 << 14, MemoryKiB: 64 << 10, CPUs: 1},
	{Type: "argon2i", Time: 2, MemoryKiB: 256 << 10, CPUs: 1},
	{Type: "pbkdf2", Hash: "sha512", Iterations: maxIterations},
}

// TestDerivationEnds: whatever a keyslot costs, the end of the context ends it at once.
func TestDerivationEnds(t *testing.T) {
	for _, k := range costly {
		why := errors.New("asked to stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
		defer cancel()
		began := time.Now()
		_, err := k.Derive(ctx, []byte("passphrase"), make([]byte, 32), 64)
		if took := time.Since(began); err != why || took > 5*time.Second {
			t.Errorf("%s: %v after %s", k.Type, err, took)
		}
	}
}

// TestOnePatience: a header with many keyslots that cost much takes no longer than one. So
// do a digest of it and its tokens.
func TestOnePatience(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	for id := range h.meta.keyslots {
		h.meta.keyslots[id].KDF = costly[0]
	}
	h.budget = &budget{most: 200 * time.Millisecond}
	began := time.Now()
	_, _, err = h.Open(t.Context(), m, []byte("wrong"))
	if took := time.Since(began); !errors.Is(err, ErrTooCostly) || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	h.meta.digests[0].iterations = maxIterations
	if err := h.VerifyKey(t.Context(), make([]byte, 64)); !errors.Is(err, ErrTooCostly) {
		t.Errorf("a digest: %v", err)
	}
	for _, k := range costly {
		if _, err := k.Derive(h.Budgeted(t.Context()), []byte("PIN"), make([]byte, 32), 64); !errors.Is(err, ErrTooCostly) {
			t.Errorf("%s for a token: %v", k.Type, err)
		}
	}
}

// TestMemoryRoom: the narrowest of all limits counts, and is named.
func TestMemoryRoom(t *testing.T) {
	const status = "VmSize:\t 100 kB\nVmData:\t 60 kB\n"
	for name, c := range map[string]struct {
		files  map[string]string
		limits []rlimit
		room   int64
		limit  string
	}{
		"nothing":  {nil, nil, 1<<63 - 1, "no limit"},
		"machine":  {map[string]string{"proc/meminfo": "MemFree: 1 kB\nMemAvailable:   2048 kB\n"}, nil, 2048 << 10, "MemAvailable"},
		"ulimit":   {map[string]string{"proc/self/status": status}, []rlimit{{"RLIMIT_AS", "VmSize:", 300 << 10}, {"RLIMIT_DATA", "VmData:", 200 << 10}}, 140 << 10, "RLIMIT_DATA"},
		"group":    {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "4096\n", "sys/fs/cgroup/a/memory.current": "1096\n", "sys/fs/cgroup/a/memory.stat": "anon 9\ninactive_file 96\n"}, nil, 3096, "memory limit of the control group /a"},
		"group v1": {map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/y\n", "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "8192", "sys/fs/cgroup/memory/y/memory.usage_in_bytes": "9000"}, nil, 0, "memory limit of the control group /y"},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if room, limit := memoryRoom(root, c.limits); room != c.room || limit != c.limit {
			t.Errorf("%s: %d by %q, not %d by %q", name, room, limit, c.room, c.limit)
		}
	}
}

// TestMemoryIsRefused: a keyslot that wants more memory than a process may have is refused
// with what it wants and what is there. It runs in a process of its own, which would end
// with a trace and the exit code 2.
func TestMemoryIsRefused(t *testing.T) {
	const inside = "SEALPART_TEST_LITTLE_MEMORY"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("sh", "-c", "ulimit -v 4000000; exec \"$0\" -test.run='^TestMemoryIsRefused$' -test.v", os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("refused in a small process")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	m := volume(t)
	h, err := m.read()
	check(t, err)
	h.meta.keyslots[0].KDF = KDF{Type: "argon2id", Time: 4, MemoryKiB: maxMemoryKiB, CPUs: 4}
	_, err = h.OpenKeyslot(t.Context(), m, 0, []byte(passphrase))
	var memory *MemoryError
	if !errors.As(err, &memory) || memory.Wants != maxMemoryKiB<<10 || memory.There >= memory.Wants || !strings.HasPrefix(err.Error(), "open keyslot 0: argon2id wants 4194304 KiB of memory, and there are ") {
		t.Fatalf("%v", err)
	}
	fmt.Println("refused in a small process:", err)
}
