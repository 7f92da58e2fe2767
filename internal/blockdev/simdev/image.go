package simdev

import "bytes"

// pageSize is what is copied when a byte of a shared image changes.
const pageSize = 64 << 10

// image is the content of a disk. Copies share the pages that neither has written
// to: tests look at many states of one disk that differ little.
type image struct {
	pages [][]byte
	own   []bool // pages that nobody else has
	size  int64
}

// newImage returns an image of b, which must not change any more.
func newImage(b []byte) *image {
	m := &image{size: int64(len(b))}
	for ; len(b) > 0; b = b[min(pageSize, len(b)):] {
		m.pages = append(m.pages, b[:min(pageSize, len(b))])
	}
	m.own = make([]bool, len(m.pages))
	return m
}

// copy returns an image with the same content. Only the copy may be written to
// from now on.
func (m *image) copy() *image {
	return &image{pages: append([][]byte(nil), m.pages...), own: make([]bool, len(m.own)), size: m.size}
}

// read fills p; all of it must be inside.
func (m *image) read(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, m.pages[off/pageSize][off%pageSize:])
		p, off = p[n:], off+int64(n)
	}
}

// write stores p, which must not change any more: whole pages of it are taken over. All
// of it must be inside.
func (m *image) write(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/pageSize, off%pageSize
		n := min(len(p), len(m.pages[i])-int(at))
		switch {
		case n == len(m.pages[i]):
			m.pages[i], m.own[i] = p[:n:n], false
		case !m.own[i]:
			m.pages[i], m.own[i] = bytes.Clone(m.pages[i]), true
			fallthrough
		default:
			copy(m.pages[i][at:], p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}
