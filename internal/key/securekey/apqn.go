package securekey

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// queue is the name of a domain of an adapter (drivers/s390/crypto/ap_queue.c).
var queue = regexp.MustCompile(`^[0-9a-f]{2}\.[0-9a-f]{4}$`)

// noAdapterError says that no adapter can make the key.
type noAdapterError struct{ devices string }

// Error says where none was found.
func (e noAdapterError) Error() string {
	return fmt.Sprintf("no adapter in CCA mode is online (looked in %s)", e.devices)
}

// Hint says what to do next.
func (noAdapterError) Hint() string {
	return "see \"lszcrypt -V\"; the modules are zcrypt_cex4 and pkey_cca, in an initramfs too; \"chzcrypt -e\" sets an adapter online"
}

// online returns the domains of all adapters in CCA mode that are online.
func online(devices string) ([]string, error) {
	entries, err := os.ReadDir(devices)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		dir := filepath.Join(devices, entry.Name())
		if queue.MatchString(entry.Name()) && has(filepath.Join(dir, "uevent"), "MODE=cca") && has(filepath.Join(dir, "online"), "1") {
			found = append(found, entry.Name())
		}
	}
	if len(found) == 0 {
		return nil, noAdapterError{devices}
	}
	return found, nil
}

// has reports whether a file has a line.
func has(path, line string) bool {
	text, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Split(string(text), "\n"), line)
}
