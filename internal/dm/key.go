package dm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Key is a volume key in the kernel's keyring of the calling thread, from which
// dm-crypt takes it when a table is loaded. The thread must be locked to its goroutine
// (runtime.LockOSThread) from NewKey to Drop.
type Key struct {
	id          int
	size        int
	description string
}

// NewKey gives the kernel a key under the description that cryptsetup would use,
// "cryptsetup:UUID-dN", N being the digest that the key has.
func NewKey(uuid string, digest int, key []byte) (*Key, error) {
	description := fmt.Sprintf("cryptsetup:%s-d%d", uuid, digest)
	id, err := unix.AddKey("logon", description, key, unix.KEY_SPEC_THREAD_KEYRING)
	if err != nil {
		return nil, fmt.Errorf("put the volume key into the kernel's keyring: %w", err)
	}
	return &Key{id: id, size: len(key), description: description}, nil
}

// Reference is what a table says instead of the key.
func (k *Key) Reference() string { return fmt.Sprintf(":%d:logon:%s", k.size, k.description) }

// Drop takes the key out of the keyring; devices that use it keep it.
func (k *Key) Drop() {
	_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, k.id, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
}
