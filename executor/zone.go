package executor

import "github.com/sealpart/sealpart/disk"

// zone is a run of logical bytes that is rewritten in one step.
type zone struct{ start, length disk.Bytes }

// part returns the bytes of buf, which holds z, that e is.
func (z zone) part(buf []byte, e disk.Extent) []byte {
	return buf[e.Offset-z.start : e.End()-z.start]
}

// zoneBelow returns the zone that ends at logical byte end, for data that is done
// from its end downwards. The first shift bytes of such a volume are always a zone
// of their own, because their source is the moved copy.
func zoneBelow(end, shift disk.Bytes) zone {
	if end <= shift {
		return zone{0, end}
	}
	start := max(end-shift, shift)
	return zone{start, end - start}
}
