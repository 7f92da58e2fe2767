package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestBufferHidesItself(t *testing.T) {
	b, err := Take([]byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Wipe()
	text, _ := json.Marshal(b)
	for _, shown := range []string{fmt.Sprint(b), fmt.Sprintf("%v %+v %#v %s", b, b, b, b), string(text)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("secret shown: %q", shown)
		}
	}
}

func TestTakeWipesItsSource(t *testing.T) {
	plain := []byte("hunter2")
	b, err := Take(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Wipe()
	if !bytes.Equal(plain, make([]byte, 7)) {
		t.Errorf("source still holds %q", plain)
	}
	if string(b.Bytes()) != "hunter2" {
		t.Errorf("buffer holds %q", b.Bytes())
	}
}

func TestBufferIsLocked(t *testing.T) {
	before := lockedKiB(t)
	b, err := New(4096)
	if err != nil {
		t.Fatal(err)
	}
	if after := lockedKiB(t); after <= before {
		t.Errorf("locked memory %d kB before, %d kB with a secret", before, after)
	}
	b.Wipe()
	b.Wipe()
	if after := lockedKiB(t); after != before {
		t.Errorf("locked memory %d kB before, %d kB after Wipe", before, after)
	}
}

func TestBase64(t *testing.T) {
	b, err := Take([]byte{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Wipe()
	text, err := b.Base64()
	if err != nil {
		t.Fatal(err)
	}
	defer text.Wipe()
	if string(text.Bytes()) != "AQIDBA==" {
		t.Errorf("got %q", text.Bytes())
	}
}

// lockedKiB reads the process's locked memory from the kernel.
func lockedKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmLck: %d kB", &n); err == nil {
			return n
		}
	}
	t.Fatal("no VmLck in /proc/self/status")
	return 0
}
