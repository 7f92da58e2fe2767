package luks2

import (
	"fmt"
	"slices"
)

// Protect gives a conversion that another program began with the resilience "none"
// the one of o, so that it can go on safely. oldKey is as for VerifyReencryption, which
// comes first: the digest over the metadata is made anew. It is in memory.
//
// It refuses a volume with a hot zone: of that, nothing tells what is converted.
func (h *Header) Protect(o ForwardOptions, oldKey, newKey []byte) error {
	r, err := h.planProtection(o)
	if err == nil {
		err = h.adoptProtection(r, o, oldKey, newKey)
	}
	if err != nil {
		return fmt.Errorf("protect the re-encryption: %w", err)
	}
	h.deviceSize = o.DeviceSize
	return nil
}

// planProtection returns the pending conversion with another resilience, which takes
// the room that "none" has and does not use.
func (h *Header) planProtection(o ForwardOptions) (*Reencryption, error) {
	r, err := h.pendingReencryption(h.meta.config.pending())
	switch {
	case err != nil:
		return nil, err
	case r.Resilience != "none":
		return nil, fmt.Errorf("it has the resilience %s already", r.Resilience)
	case slices.ContainsFunc(h.Segments(), Segment.hot):
		return nil, fmt.Errorf("its hot zone may be half written, and nothing tells which half")
	}
	if err := r.setResilience(o); err != nil {
		return nil, err
	}
	if reason := r.unsupported(); reason != "" {
		return nil, fmt.Errorf("%s", reason)
	}
	if err := r.measure(o.DeviceSize); err != nil {
		return nil, err
	}
	if r.MaxZone() <= 0 {
		return nil, fmt.Errorf("its area of %d bytes holds the record of no zone", r.AreaSize)
	}
	return r, h.locate(r)
}

// adoptProtection replaces the record of the conversion and its digest.
func (h *Header) adoptProtection(r *Reencryption, o ForwardOptions, oldKey, newKey []byte) error {
	d, ok := h.digestOfKeyslot(r.KeyslotID)
	if !ok {
		return fmt.Errorf("there is no digest of the metadata")
	}
	input, err := r.digestInput(oldKey, newKey)
	if err != nil {
		return err
	}
	defer clear(input)
	t := h.tree.clone()
	t.keyslots[r.KeyslotID] = r.encodeKeyslot()
	if t.digests[d.id], err = newDigest(input, []int{r.KeyslotID}, nil, o.Rand); err != nil {
		return err
	}
	return h.adopt(t)
}
