package luks2

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// EncryptOptions say how plaintext is encrypted whose first bytes make room for the
// header.
type EncryptOptions struct {
	// Shift is how far data moves towards the end, in bytes: the header's DataOffset.
	Shift int64
	// DeviceSize is that of the whole device. The last Shift bytes of it hold a copy of
	// the data's first Shift bytes before the header is written.
	DeviceSize int64
	// DataSize is how much data there is, at least Shift and at most
	// DeviceSize - 2*Shift bytes.
	DataSize int64
	Rand     io.Reader
}

// BeginEncrypt turns a header with keyslots into one of a volume with all its data
// still to be encrypted: what `cryptsetup reencrypt --encrypt --reduce-device-size`
// begins with. It is in memory; before Commit the first Shift bytes must have been
// copied to the end, since the header takes their place.
func (h *Header) BeginEncrypt(o EncryptOptions, volumeKey []byte) error {
	r, err := h.planEncrypt(o)
	if err == nil {
		err = h.begin(r, o.DeviceSize, nil, volumeKey, o.Rand)
	}
	if err != nil {
		return fmt.Errorf("begin encryption: %w", err)
	}
	return nil
}

// planEncrypt decides where everything goes.
func (h *Header) planEncrypt(o EncryptOptions) (*Reencryption, error) {
	if h.DataOffset() != o.Shift {
		return nil, fmt.Errorf("the data offset %d is not the shift %d", h.DataOffset(), o.Shift)
	}
	if (o.DeviceSize-o.Shift)%int64(max(h.SectorSize(), 1)) != 0 {
		return nil, fmt.Errorf("a device of %d bytes does not end with a sector of %d", o.DeviceSize, h.SectorSize())
	}
	moved := Segment{Type: "linear", Offset: o.DeviceSize - o.Shift, Size: o.Shift}
	area, err := h.firstGap(areaAlignment)
	return &Reencryption{
		Mode: "encrypt", Direction: "backward", Resilience: "datashift", Shift: o.Shift,
		AreaOffset: area.offset, AreaSize: area.size,
		Moved:    moved.flagged(BackupMoved),
		Previous: Segment{Type: "linear", Size: o.DataSize}.flagged(BackupPrevious),
	}, err
}

// ForwardOptions say how data is converted that stays where it is.
type ForwardOptions struct {
	// Resilience is how a half written zone is recognised: "journal" keeps the old
	// bytes, which is always safe; "checksum" their checksums, which is faster, and
	// safe where the device writes ChecksumSectorSize bytes whole or not at all.
	Resilience string
	// Hash and ChecksumSectorSize (at least the sector size of the encryption) are for
	// "checksum".
	Hash               string
	ChecksumSectorSize int
	DeviceSize         int64 // of the device with the data, in bytes
	Rand               io.Reader
}

// BeginEncryptForward turns a header with keyslots into one of a volume whose data is
// plaintext from its DataOffset on: for a header in front of the data, or in a file
// (DataOffset 0). It is in memory.
func (h *Header) BeginEncryptForward(o ForwardOptions, volumeKey []byte) error {
	r := &Reencryption{Mode: "encrypt", Direction: "forward"}
	r.Previous = Segment{Type: "linear", Offset: h.DataOffset(), Size: Dynamic}.flagged(BackupPrevious)
	err := h.resilience(r, o)
	if err == nil {
		err = h.begin(r, o.DeviceSize, nil, volumeKey, o.Rand)
	}
	if err != nil {
		return fmt.Errorf("begin encryption: %w", err)
	}
	return nil
}

// RekeyOptions say how encrypted data gets a new volume key.
type RekeyOptions struct {
	ForwardOptions
	Cipher     string // of the new data; "": as now
	SectorSize int    // of the new data; 0: as now
}

// BeginRekey turns the header of a volume into one whose data is to be encrypted anew
// with another volume key, which must have a keyslot: see AddUnboundKeyslot. The old
// key's keyslots go with Finish. It is in memory.
func (h *Header) BeginRekey(ctx context.Context, o RekeyOptions, oldKey, newKey []byte) error {
	r, err := h.planRekey(ctx, o, oldKey, newKey)
	if err == nil {
		err = h.begin(r, o.DeviceSize, oldKey, newKey, o.Rand)
	}
	if err != nil {
		return fmt.Errorf("begin re-encryption: %w", err)
	}
	return nil
}

// planRekey checks the keys, and decides on the new form of the data.
func (h *Header) planRekey(ctx context.Context, o RekeyOptions, oldKey, newKey []byte) (*Reencryption, error) {
	if err := h.VerifyKey(ctx, oldKey); err != nil {
		return nil, fmt.Errorf("old key: %w", err)
	}
	d, found, err := h.digestForKey(ctx, newKey)
	if err != nil {
		return nil, err
	}
	if !found || len(d.segments) > 0 || len(d.keyslots) == 0 {
		return nil, fmt.Errorf("the new key has no keyslot, or is the old one")
	}
	r := &Reencryption{Mode: "reencrypt", Direction: "forward", newDigest: d.id}
	r.Previous, r.Final = h.dataSegment().flagged(BackupPrevious), h.dataSegment().part(0, Dynamic)
	if r.Final.IVTweak = 0; o.Cipher != "" {
		r.Final.Encryption = o.Cipher
	}
	if o.SectorSize != 0 {
		r.Final.SectorSize = o.SectorSize
	}
	return r, h.resilience(r, o.ForwardOptions)
}

// resilience gives r all the room that the keyslots leave.
func (h *Header) resilience(r *Reencryption, o ForwardOptions) error {
	if err := r.setResilience(o); err != nil {
		return err
	}
	area, err := h.largestGap()
	r.AreaOffset, r.AreaSize = area.offset, area.size
	return err
}

// setResilience checks a resilience and makes it that of r.
func (r *Reencryption) setResilience(o ForwardOptions) error {
	if o.Resilience != "checksum" && o.Resilience != "journal" {
		return fmt.Errorf("resilience %.40q is neither checksum nor journal", o.Resilience)
	}
	r.Resilience = o.Resilience
	if o.Resilience == "checksum" {
		if _, err := newHash(o.Hash); err != nil {
			return err
		}
		r.Hash, r.ChecksumSectorSize = o.Hash, o.ChecksumSectorSize
	}
	return nil
}

// begin completes r with what the header has and adopts its first state.
func (h *Header) begin(r *Reencryption, deviceSize int64, oldKey, newKey []byte, rnd io.Reader) error {
	if err := h.complete(r, newKey); err != nil {
		return err
	}
	if err := r.measure(deviceSize); err != nil {
		return err
	}
	if err := h.adoptBeginning(r, oldKey, newKey, rnd); err != nil {
		return err
	}
	h.deviceSize = deviceSize
	return nil
}

// complete fills in the segments, digests and ids of a conversion that begins.
func (h *Header) complete(r *Reencryption, newKey []byte) (err error) {
	if len(h.meta.segments) != 1 || h.meta.config.pending() != "" || h.Cipher() == "" || h.Segments()[0].Integrity {
		return fmt.Errorf("the volume is not one encrypted segment without integrity protection")
	}
	data := h.Segments()[0]
	owner, ok := h.digestOf(data.ID)
	if !ok {
		return fmt.Errorf("the volume has no keyslot")
	}
	if data.Size != Dynamic {
		return fmt.Errorf("the data does not reach to the end of the device")
	}
	if r.oldDigest = owner.id; r.Mode == "encrypt" {
		r.oldDigest, r.newDigest, r.Final = none, owner.id, data
		if err := owner.verify(context.Background(), newKey); err != nil {
			return err
		}
	}
	r.Final = r.Final.flagged(BackupFinal)
	r.version = reencryptRequirement[len(reencryptRequirement)-1]
	r.KeyslotID, err = h.tree.keyslots.free("keyslot")
	return err
}

// adoptBeginning adopts the state in which nothing is converted.
func (h *Header) adoptBeginning(r *Reencryption, oldKey, newKey []byte, rnd io.Reader) error {
	t := h.tree.clone()
	t.keyslots[r.KeyslotID] = r.encodeKeyslot()
	h.widen(t, span{r.AreaOffset, r.AreaSize})
	t.setSegments(slices.Concat(r.pieces(r.DataSize, 0), r.backups()), r.oldDigest, r.newDigest)
	input, err := r.digestInput(oldKey, newKey)
	if err != nil {
		return err
	}
	defer clear(input)
	id, err := t.digests.free("digest")
	if err != nil {
		return err
	}
	if t.digests[id], err = newDigest(input, []int{r.KeyslotID}, nil, rnd); err != nil {
		return err
	}
	if err := t.setRequirements(append(h.Requirements(), reencryptRequirement)); err != nil {
		return err
	}
	return h.adopt(t)
}

// encodeKeyslot returns the keyslot that records the conversion.
func (r *Reencryption) encodeKeyslot() object {
	area := object{{"type", jsonString(r.Resilience)}, {"offset", jsonSize(r.AreaOffset)}, {"size", jsonSize(r.AreaSize)}}
	if r.ChecksumSectorSize > 0 {
		area = append(area, member{"hash", jsonString(r.Hash)}, member{"sector_size", jsonInt(r.ChecksumSectorSize)})
	}
	if r.Shift > 0 {
		area = append(area, member{"shift_size", jsonSize(r.Shift)})
	}
	return object{
		{"type", jsonString("reencrypt")}, {"key_size", jsonInt(1)}, {"mode", jsonString(r.Mode)},
		{"direction", jsonString(r.Direction)}, {"priority", jsonInt(PriorityIgnore)}, {"area", area.encode()},
	}
}
