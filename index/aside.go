package index

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Insert is Add for extents that come in any order, as those of two journals do between which a partition moved: one
// that begins behind the partition's end is kept aside, unseen, until the gap before it is closed. It reports whether
// the partition's end rose. An extent that is known, here or aside, is no error. Error: ErrOverlap.
func (x *Index) Insert(p topic.Partition, e Entry) (rose bool, err error) {
	if end := x.End(p); e.Base < end || e.Next <= e.Base {
		return false, x.Add(p, e)
	}
	kept := x.aside[p]
	i, found := slices.BinarySearchFunc(kept, e.Base, func(k Entry, base topic.Offset) int { return cmp.Compare(k.Base, base) })
	switch {
	case found && kept[i] == e:
		return false, nil
	case i < len(kept) && kept[i].Base < e.Next:
		return false, overlapAside(p, e, kept[i])
	case i > 0 && kept[i-1].Next > e.Base:
		return false, overlapAside(p, e, kept[i-1])
	case e.Base > x.End(p):
		x.aside[p] = slices.Insert(kept, i, e)
		return false, nil
	}
	x.append(p, e)
	x.close(p)
	return true, nil
}

func overlapAside(p topic.Partition, e, k Entry) error {
	return fmt.Errorf("%w: %s at [%d,%d) of slot %d of journal %s, slot %d of journal %s has [%d,%d)",
		ErrOverlap, p, e.Base, e.Next, e.Slot, e.Journal, k.Slot, k.Journal, k.Base, k.Next)
}

// close takes in what was kept aside and now begins at the partition's end.
func (x *Index) close(p topic.Partition) {
	kept := x.aside[p]
	n := 0
	for ; n < len(kept) && kept[n].Base <= x.End(p); n++ {
		if kept[n].Base == x.End(p) { // else the log start passed it
			x.append(p, kept[n])
		}
	}
	switch {
	case n == 0:
	case n == len(kept):
		delete(x.aside, p)
	default:
		x.aside[p] = slices.Clone(kept[n:])
	}
}

// Aside is the number of extents of a partition that wait behind a gap.
func (x *Index) Aside(p topic.Partition) int { return len(x.aside[p]) }
