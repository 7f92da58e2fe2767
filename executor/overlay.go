package executor

import "github.com/sealpart/sealpart/luks2"

// overlay keeps in memory what is written over a device, so that a volume's keys can
// be made and proven before the device changes. It serves as a luks2.Device.
type overlay struct {
	below  luks2.Device
	writes []write
}

// write is some bytes and their place.
type write struct {
	at int64
	p  []byte
}

// ReadAt reads what was written over the device, and the device elsewhere.
func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.below.ReadAt(p, off)
	for _, w := range o.writes {
		from, to := max(off, w.at), min(off+int64(n), w.at+int64(len(w.p)))
		if from < to {
			copy(p[from-off:to-off], w.p[from-w.at:])
		}
	}
	return n, err
}

// WriteAt keeps p.
func (o *overlay) WriteAt(p []byte, off int64) (int, error) {
	o.writes = append(o.writes, write{off, append([]byte(nil), p...)})
	return len(p), nil
}

// Sync does nothing: see flush.
func (o *overlay) Sync() error { return nil }

// flush writes to the device what was kept, and makes it durable. A power cut leaves
// some of it.
func (o *overlay) flush() error {
	for _, w := range o.writes {
		if _, err := o.below.WriteAt(w.p, w.at); err != nil {
			return err
		}
	}
	o.writes = nil
	return o.below.Sync()
}
