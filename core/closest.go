package core

import "strings"

// DidYouMean is "; did you mean NAME?" with the name that a misspelled word is nearest to, or "" where none is
// near. A word that a name begins with, or contains, is near too.
func DidYouMean(word string, names []string) string {
	if best := Closest(word, names); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// Closest returns the name that a misspelled word is nearest to, or "".
func Closest(word string, names []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, name := range names {
		if d := editDistance(strings.ToLower(word), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	for _, name := range names {
		if best == "" && len(word) >= 3 && strings.Contains(name, word) {
			best = name
		}
	}
	return best
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
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
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
