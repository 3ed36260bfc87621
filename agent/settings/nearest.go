package settings

import "strings"

// unknown words the problem of a name that does not exist: it names the nearest that does, if one is near.
func unknown(what, name string, names []string, show func(string) string) string {
	if near := Nearest(name, names); near != "" {
		return "unknown " + what + "; did you mean " + show(near) + "?"
	}
	return "unknown " + what
}

// maxGuess is the longest name that Nearest looks at: no name is near a longer one.
const maxGuess = 64

// Nearest gives the one of names that a person who typed name most likely meant, or "" when none is near: within
// a third of the letters, or one that name is a part of.
func Nearest(name string, names []string) string {
	if len(name) > maxGuess {
		return ""
	}
	name = strings.ToLower(name)
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, candidate := range names {
		if d := distance(name, strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(name) < 4 {
		return best
	}
	for _, candidate := range names {
		if strings.Contains(strings.ToLower(candidate), name) {
			return candidate
		}
	}
	return ""
}

// distance counts the letters to insert, drop, replace or swap with their neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
