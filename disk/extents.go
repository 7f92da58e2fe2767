package disk

// Without returns what of parts does not lie in passed.
func Without(parts, passed []Extent) []Extent {
	for _, gone := range passed {
		var left []Extent
		for _, p := range parts {
			before := Extent{Offset: p.Offset, Size: min(p.End(), gone.Offset) - p.Offset}
			from := max(p.Offset, gone.End())
			after := Extent{Offset: from, Size: p.End() - from}
			if !p.Overlaps(gone) {
				before, after = p, Extent{}
			}
			for _, piece := range []Extent{before, after} {
				if piece.Size > 0 {
					left = append(left, piece)
				}
			}
		}
		parts = left
	}
	return parts
}

// Within returns what of parts lies in one of areas.
func Within(parts, areas []Extent) (inside []Extent) {
	for _, p := range parts {
		for _, a := range areas {
			from := max(p.Offset, a.Offset)
			if to := min(p.End(), a.End()); to > from {
				inside = append(inside, Extent{Offset: from, Size: to - from})
			}
		}
	}
	return inside
}
