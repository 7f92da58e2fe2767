package planner

// place gives every new partition its offset: from the start of its area on, each
// behind the one before it and the free space wanted there.
func (l *layout) place() {
	for _, a := range l.areas {
		next := a.Offset
		if a.before != nil {
			next = max(next, plus(a.before.extent.End(), a.before.padding).RoundUp(l.grain))
		}
		for _, p := range a.new {
			p.extent.Offset = next
			next = plus(p.extent.End(), p.padding).RoundUp(l.grain)
		}
	}
}
