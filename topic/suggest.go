package topic

import "fmt"

// UnknownName is the error for a name that is none of the known ones, with the nearest of them if there is one.
// What says what kind of name it is.
func UnknownName(what, name string, known []string) error {
	if near, ok := Nearest(name, known); ok {
		return fmt.Errorf("unknown %s %q, did you mean %q?", what, name, near)
	}
	return fmt.Errorf("unknown %s %q", what, name)
}

// Nearest picks the known name with the fewest edits to the one given, the first of several; none if even that
// needs more than a third of the letters.
func Nearest(name string, known []string) (string, bool) {
	if len(name) > 256 {
		return "", false
	}
	near, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := edits(name, k); d < least {
			near, least = k, d
		}
	}
	return near, near != ""
}

// edits is Levenshtein's distance in bytes: insertions, deletions and replacements to make a of b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
