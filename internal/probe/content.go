package probe

import (
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
)

// Content says what the size bytes of r hold. Kind is empty where nothing known is
// found. It fails only where r cannot be read.
func Content(r io.ReaderAt, size disk.Bytes) (disk.Content, error) {
	return new(image).look(r, size)
}

// look is Content, for one device after the other.
func (m *image) look(r io.ReaderAt, size disk.Bytes) (disk.Content, error) {
	m.open(r, size)
	c := m.content()
	if m.err != nil {
		return disk.Content{}, fmt.Errorf("looking for a file system: %w", m.err)
	}
	return c, nil
}

func (m *image) content() disk.Content {
	var found []disk.Content
	for _, f := range containers {
		c, ok := f.find(m)
		if ok && c.Problem == "" && !m.leftover(c) {
			return c
		} else if ok {
			found = append(found, c) // what else is there decides what to make of it
			break
		}
	}
	for _, f := range fileSystems {
		if c, ok := f.find(m); ok {
			found = append(found, c)
		}
	}
	if kind := m.tableKind(found); kind != "" {
		found = append(found, disk.Content{Kind: kind})
	}
	if len(found) == 0 {
		return disk.Content{}
	}
	for _, other := range found[1:] {
		found[0].Ambiguous = append(found[0].Ambiguous, other.Kind)
	}
	return found[0]
}

// leftover reports whether a LUKS2 volume is known by its second header only. That may
// be all that a file system made over it has left.
func (m *image) leftover(c disk.Content) bool {
	return c.Kind == "crypto_LUKS" && !m.has(0, luksMagic)
}
