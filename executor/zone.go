package executor

import (
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/luks2"
)

// zone is a run of logical bytes that is rewritten in one step. The first shift
// bytes of the volume are always a zone of their own, because their source is the
// moved copy.
type zone struct{ start, length disk.Bytes }

// zoneBelow returns the zone that ends at logical byte end.
func zoneBelow(end, shift disk.Bytes) zone {
	if end <= shift {
		return zone{0, end}
	}
	start := max(end-shift, shift)
	return zone{start, end - start}
}

// next returns the zone to do after z: the one below.
func (z zone) next(shift disk.Bytes) zone { return zoneBelow(z.start, shift) }

// nextZone returns the zone that the header on disk calls for, and whether it is
// hot there already. A length of 0 means that all zones are done.
func (c *conversion) nextZone() (z zone, hot bool, err error) {
	state, err := c.header.Reencryption(int64(c.part.Size()))
	if err != nil {
		return zone{}, false, err
	}
	switch state.State {
	case luks2.Crash:
		return zone{disk.Bytes(state.HotOffset), disk.Bytes(state.HotLength)}, true, nil
	case luks2.Unfinished:
		return zone{}, false, nil
	default:
		return zoneBelow(disk.Bytes(state.Remaining), c.action.Shift), false, nil
	}
}

// hotPending tells whether the header in memory has a hot zone.
func (c *conversion) hotPending() bool {
	state, err := c.header.Reencryption(int64(c.part.Size()))
	return err == nil && state != nil && state.State == luks2.Crash
}
