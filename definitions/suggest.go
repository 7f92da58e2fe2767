package definitions

import "strings"

// nearest returns the one of names that was most likely meant by a misspelt word:
// the same but for case, separators or repart's "Bytes", or a few letters away.
// It is empty where nothing is near.
func nearest(word string, names []string) string {
	for _, n := range names {
		if fold(n) == fold(word) {
			return n
		}
	}
	if len(word) > maxKey {
		return "" // the distance takes time by the product of the lengths
	}
	best, bestDistance := "", len(word)/3+1
	for _, n := range names {
		if d := distance(strings.ToLower(word), n); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

// fold makes spellings of one name equal: SizeMinBytes, size-min and size_min.
func fold(name string) string {
	name = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
	return strings.TrimSuffix(name, "bytes")
}

// distance is the number of letters to insert, delete, replace or swap with their
// neighbour that turns a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// didYouMean is the hint for a misspelt word, empty where nothing is near.
func didYouMean(word string, names []string) string {
	if n := nearest(word, names); n != "" {
		return `did you mean "` + n + `"?`
	}
	return ""
}
