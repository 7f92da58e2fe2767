package probe

import "github.com/sealpart/sealpart/disk"

// A format knows one kind of content.
type format struct {
	// find returns what it found and true, or false.
	find func(*image) (disk.Content, bool)
	// marks are what others know the kind by: without them it is not found again.
	marks []mark
	// check reports whether a mark at a byte is no accident, nil where marks are long enough.
	check func(m *image, at int64) bool
}

// mark is a text at a place: in bytes from the start of the device or, where offset is
// negative, from its end.
type mark struct {
	offset int64
	text   string
}

// found is a format with a search of its own.
func found(find func(*image) (disk.Content, bool), marks ...mark) format {
	return format{find: find, marks: marks}
}

// marked is a format that one of its marks gives away. Nothing but its presence matters
// here: it must not be taken for an empty partition, nor for what lies beside it.
func marked(kind string, marks ...mark) format {
	return checked(kind, nil, marks...)
}

// checked is a format whose marks are too short to be believed alone: what lies around
// the one at a byte is checked, too.
func checked(kind string, check func(m *image, at int64) bool, marks ...mark) format {
	return format{marks: marks, check: check, find: func(m *image) (disk.Content, bool) {
		for _, k := range marks {
			if at := m.place(k); m.has(at, k.text) && (check == nil || check(m, at)) {
				return disk.Content{Kind: kind, At: disk.Bytes(at)}, true
			}
		}
		return disk.Content{}, false
	}}
}

// place returns where a mark is, in bytes from the start.
func (m *image) place(k mark) int64 {
	if k.offset < 0 {
		return m.size + k.offset
	}
	return k.offset
}

// anywhere is one text at several places.
func anywhere(text string, offsets ...int64) []mark {
	var marks []mark
	for _, at := range offsets {
		marks = append(marks, mark{at, text})
	}
	return marks
}
