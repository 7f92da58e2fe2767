package plan

import (
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// sortEntries orders entries by their numbers.
func sortEntries(entries []disk.Entry) {
	slices.SortFunc(entries, func(a, b disk.Entry) int { return a.Number - b.Number })
}
