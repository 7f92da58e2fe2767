package definitions

import (
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// maxKeyFile is the longest key file, cryptsetup's limit.
const maxKeyFile = 8 * disk.MiB

// IsKeySource reports whether the path of a file key is no path: a credential, or a
// socket.
func IsKeySource(path string) bool {
	return strings.HasPrefix(path, SourceCredential+":") || strings.HasPrefix(path, SourceSocket+":")
}

// keyPath returns where a file key is read from, or a recovery key written to; "" where
// it is not set.
func (b *builder) keyPath(keyType string, set settings) string {
	path, s, ok := value[string](set, "path")
	if !ok {
		return ""
	}
	err := checkPath(path)
	if keyType == KeyFile && IsKeySource(path) {
		_, _, err = ParseKeySource(path)
	}
	if err != nil {
		b.fail(s, "%v", err)
	}
	return path
}

// keyPart returns which bytes of its file are a file key.
func (b *builder) keyPart(set settings) (offset, size disk.Bytes) {
	offset, at, _ := value[disk.Bytes](set, "offset")
	if offset >= maxKeyFile {
		b.fail(at, "is %d, and no key file has more than %d bytes", int64(offset), int64(maxKeyFile))
	}
	size, at, ok := value[disk.Bytes](set, "size")
	if ok && (size < 1 || size > maxKeyFile) {
		b.fail(at, "must be from 1 to %d, not %d", int64(maxKeyFile), int64(size))
	}
	return offset, size
}
