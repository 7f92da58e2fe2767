package luks2

import "slices"

// piece is a segment with the keys that its bytes may be under.
type piece struct {
	Segment
	old, new bool
}

// pieces returns the regular segments of a conversion with this many bytes to go and
// this many hot.
func (r *Reencryption) pieces(remaining, hot int64) []piece {
	if r.shifts() {
		return r.backwardPieces(remaining, hot)
	}
	return r.forwardPieces(r.DataSize-remaining-hot, hot)
}

// backwardPieces: the moved first bytes, the old data in place, the hot zone, the new
// data. New data is Shift bytes behind where the old was.
func (r *Reencryption) backwardPieces(remaining, hot int64) (all []piece) {
	if remaining > 0 {
		all = append(all, piece{r.Moved.part(0, min(r.Shift, remaining)), true, false})
	}
	if remaining > r.Shift {
		all = append(all, piece{r.Previous.part(r.Shift, remaining-r.Shift), true, false})
	}
	if hot > 0 {
		all = append(all, piece{r.Final.part(remaining, hot).flagged(FlagInReencryption), true, true})
	}
	if rest := r.DataSize - remaining - hot; rest > 0 {
		all = append(all, piece{r.Final.part(remaining+hot, rest), false, true})
	}
	return all
}

// forwardPieces: the new data, the hot zone, the old data, all in place.
func (r *Reencryption) forwardPieces(done, hot int64) (all []piece) {
	if done > 0 {
		all = append(all, piece{r.Final.part(0, done), false, true})
	}
	if hot > 0 {
		all = append(all, piece{r.Final.part(done, hot).flagged(FlagInReencryption), true, true})
	}
	if done+hot < r.DataSize {
		all = append(all, piece{r.Previous.part(done+hot, Dynamic), true, false})
	}
	return all
}

// backups returns the segments that record the old and the new layout.
func (r *Reencryption) backups() []piece {
	all := []piece{{r.Previous, true, false}, {r.Final, false, true}}
	if r.Moved.Type != "" {
		all = append(all, piece{Segment: r.Moved})
	}
	return all
}

// setSegments makes these the segments, and lists those that are encrypted in the
// digests of their keys.
func (t *tree) setSegments(all []piece, oldDigest, newDigest int) {
	t.segments = table{}
	lists := map[int][]int{}
	for id, p := range all {
		t.segments[id] = p.encode()
		for _, owner := range p.digests(oldDigest, newDigest) {
			lists[owner] = append(lists[owner], id)
		}
	}
	for _, id := range t.digests.ids() {
		t.digests[id] = t.digests[id].with("segments", jsonIDs(lists[id]))
	}
}

// digests returns the digests that list a piece.
func (p piece) digests(oldDigest, newDigest int) (ids []int) {
	if p.Type != "crypt" {
		return nil
	}
	if p.old && oldDigest != none {
		ids = append(ids, oldDigest)
	}
	if p.new {
		ids = append(ids, newDigest)
	}
	return ids
}

// setProgress adopts a conversion with this many bytes to go and this many hot. What
// does not change (backup segments, and so what the digest covers) keeps its text.
func (h *Header) setProgress(r *Reencryption, remaining, hot int64) error {
	t := h.tree.clone()
	all := slices.Concat(r.pieces(remaining, hot), r.backups())
	t.setSegments(all, r.oldDigest, r.newDigest)
	backups := r.backups()
	for i, p := range backups {
		t.segments[len(all)-len(backups)+i] = h.tree.segments[p.ID]
	}
	return h.adopt(t)
}
