package definitions

import (
	"slices"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// The bounds of header_size. A conversion works in pieces of that size, two of
// them in memory at a time, so it is not for the taste of the user alone.
const (
	minHeaderSize = disk.MiB
	maxHeaderSize = 32 * disk.MiB
	headerGrain   = disk.MiB // partitions are aligned to it, and a header half written is looked for by it
)

// The parts of a LUKS2 header (LUKS2 On-Disk Format 1.1.3, sections 2 and 3): two
// binary headers with their JSON, keys split into 4000 stripes a keyslot,
// and one block for what a conversion needs.
const (
	headerCopies   = 32 * disk.KiB
	stripes        = 4000
	conversionArea = 4 * disk.KiB
)

// maxVolumeLabel is the room for a label in the LUKS2 header, without its NUL.
const maxVolumeLabel = 47

// headerRoom returns where the LUKS2 header may go, in order of preference.
func (b *builder) headerRoom() []string {
	words, s, _ := value[[]string](b.set, "encryption.header_room")
	for i, word := range words {
		if path, ok := strings.CutPrefix(word, RoomDetached); ok {
			if err := checkPath(path); err != nil {
				b.failItem(s, i, "is %q, and the path of a header %v", word, err)
			}
		} else {
			b.checkWord(s, i, word, rooms)
		}
		if slices.Contains(words[:i], word) {
			b.failItem(s, i, "has %q twice", word)
		}
	}
	return words
}

// headerSize returns where the encrypted data starts, 0 where it is not set.
func (b *builder) headerSize() disk.Bytes {
	v, s, ok := value[disk.Bytes](b.set, "encryption.header_size")
	switch {
	case !ok:
	case v < minHeaderSize || v > maxHeaderSize:
		b.fail(s, "must be from %v to %v, not %v", minHeaderSize, maxHeaderSize, v)
	case v%headerGrain != 0:
		b.fail(s, "must be whole mebibytes, not %d bytes", int64(v))
	}
	return v
}

// headerBackup returns the path for a copy of the finished header, "" for none, and the
// partition in whose file system it lies: "PATH" or "PART:/PATH".
func (b *builder) headerBackup() (where, partition string) {
	text, s, ok := value[string](b.set, "encryption.header_backup")
	if !ok {
		return "", ""
	}
	if part, rest, inside := strings.Cut(text, ":/"); inside && part != "" && !strings.Contains(part, "/") {
		text, partition = "/"+rest, part
	}
	if err := checkPath(text); err != nil {
		b.fail(s, "%v", err)
	}
	return text, partition
}

// volumeLabel returns the label of the LUKS2 volume, "" where it is not set.
func (b *builder) volumeLabel() string {
	label, s := b.text("encryption.label")
	if len(label) > maxVolumeLabel {
		b.fail(s, "is %d bytes long, a LUKS2 header has room for %d: %q", len(label), maxVolumeLabel, label)
	}
	return label
}
