package config

// nearestDistanceMax is how many single-character edits still count as a slip of the pen.
const nearestDistanceMax = 2

// nearest is the name closest to word, or "" when none is near enough to suggest.
func nearest(word string, names []string) string {
	best, bestDistance := "", nearestDistanceMax+1
	for _, n := range names {
		if d := distance(word, n); d < bestDistance && d < len(n) {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short words, in bytes. Words too different in length are not compared: the
// answer would be over the limit anyway, and the input may be long.
func distance(a, b string) int {
	if len(a)-len(b) > nearestDistanceMax || len(b)-len(a) > nearestDistanceMax {
		return nearestDistanceMax + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
