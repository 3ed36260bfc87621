package settings

import (
	"cmp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the settings.
type Problem struct {
	Setting string // the setting's name, "" when the problem is an unknown name
	Where   string // as the person wrote it: --flush-size, ODRADEK_FLUSH_SIZE, odradek.yaml:3: flush-size
	Text    string // what is wrong, after Where: `1x is no size`
}

func (p Problem) String() string { return p.Where + ": " + p.Text }

// Problems is the error of Load and Validate: everything that is wrong, one line each.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// err gives nil for no problems, so that a nil error means none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// sorted orders the problems as the table orders the settings; unknown names come first, cluster settings last.
func (ps Problems) sorted() Problems {
	place := func(p Problem) int {
		if p.Setting == setName {
			return len(table)
		}
		return slices.IndexFunc(table, func(t setting) bool { return t.name == p.Setting })
	}
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(place(a), place(b)) })
	return ps
}
