// Package spelling guesses what was meant by a word that is not known.
package spelling

// Nearest finds the candidate with the fewest typing mistakes between it and
// s. With close set, it finds nothing when even that one is no likely typo.
func Nearest(s string, candidates []string, close bool) (string, bool) {
	best, least := "", -1
	for _, c := range candidates {
		if d := distance(s, c); least < 0 || d < least {
			best, least = c, d
		}
	}
	if least < 0 || close && least > max(2, len(s)/3) {
		return "", false
	}
	return best, true
}

// distance is the number of letters to insert, remove, replace or swap to
// get from a to b.
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
