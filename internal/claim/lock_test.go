package claim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const uuid = "6b1f0c2e-8d3c-4f6e-9a55-1f2e3d4c5b6a"

// A volume that somebody re-encrypts is refused, naming them, and the lock file has the
// name that cryptsetup gives it and goes with the lock.
func TestReencryptionIsHeldByOthers(t *testing.T) {
	lockDir = filepath.Join(t.TempDir(), "cryptsetup")
	lock, err := Reencryption(t.Context(), uuid)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(lockDir, "LN_LUKS2-reencryption-"+uuid)
	if info, err := os.Stat(lockDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	theirs, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := unix.Flock(int(theirs.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("it is not locked: %v", err)
	}
	_, err = Reencryption(t.Context(), uuid)
	var busy *BusyError
	if !errors.As(err, &busy) || !strings.HasPrefix(err.Error(), "the volume "+uuid+" is in use by claim.test (process ") {
		t.Errorf("the second: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file is still there: %v", err)
	}
}

// A lock on a file that is not at its path any more is worth nothing, and taken anew.
func TestLockFileWasTakenAway(t *testing.T) {
	lockDir = filepath.Join(t.TempDir(), "cryptsetup")
	if err := os.Mkdir(lockDir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(lockDir, "L_8:2")
	theirs, err := openLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := flock(t.Context(), theirs, Write, 0); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		lock, err := Header(t.Context(), "8:2", Write)
		if err == nil && !isAt(lock.file, path) {
			err = errors.New("it has the lock of a file that is gone")
		}
		got <- err
	}()
	if err := (&Lock{theirs, path}).Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A UUID is part of a path, and comes from a header that anybody may have written.
func TestReencryptionRefusesPaths(t *testing.T) {
	if _, err := Reencryption(t.Context(), "../../etc/x"); err == nil || err.Error() != `"../../etc/x" is no UUID of a volume` {
		t.Error(err)
	}
}

// Nobody waits for a lock longer than the context lasts.
func TestWaitForLockEnds(t *testing.T) {
	lockDir = filepath.Join(t.TempDir(), "cryptsetup")
	held, err := Header(t.Context(), "8:2", Write)
	if err != nil {
		t.Fatal(err)
	}
	errStop := errors.New("asked to stop")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errStop)
	defer cancel()
	began := time.Now()
	_, err = Header(ctx, "8:2", Read)
	if took := time.Since(began); !errors.Is(err, errStop) || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
}
