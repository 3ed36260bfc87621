package index

import (
	"sort"

	"github.com/odradek/odradek/topic"
)

// SetRuns says what of a partition is compacted: start is where its log begins at least, end where the last run ends, and
// runs, which are shared and kept, hold [start, end) in offset order. The extents below end are forgotten, and the
// partition reaches to end at least: what comes later and lies wholly below is known (I5). What was said before and ended
// higher stays.
func (x *Index) SetRuns(p topic.Partition, start, end topic.Offset, runs []topic.Run) (rose bool) {
	r := x.rows[p]
	if r == nil {
		if end == 0 {
			return false // nothing was ever compacted: the partition stays unknown
		}
		r = &row{}
		x.rows[p] = r
	}
	if end < r.compacted {
		return false
	}
	before := r.end
	r.runs, r.compacted = runs, end
	if r.end < end {
		r.end, r.extents, r.gone = end, nil, 0
	}
	r.trim()
	x.close(p)
	x.settle(p)
	x.Raise(p, start)
	return r.end > before
}

// Begin lets a partition begin at start, behind its end: everything known of it lies before its log start. Otherwise it
// does what SetStart does.
func (x *Index) Begin(p topic.Partition, start topic.Offset) {
	r := x.rows[p]
	if r == nil {
		r = &row{}
		x.rows[p] = r
	}
	if start > r.end {
		r.end, r.extents, r.gone = start, nil, 0
	}
	if start > r.start {
		r.cut(start)
	}
	x.close(p)
	x.settle(p)
}

// Compacted is where the partition's last run ends; 0 if nothing of it is compacted.
func (x *Index) Compacted(p topic.Partition) topic.Offset {
	if r := x.rows[p]; r != nil {
		return r.compacted
	}
	return 0
}

// Runs gives the runs that hold offsets at or above from, as far as they are not wholly before Start, in offset order.
// They are shared and must not be changed.
func (x *Index) Runs(p topic.Partition, from topic.Offset) []topic.Run {
	r := x.rows[p]
	if r == nil {
		return nil
	}
	from = max(from, r.start)
	return r.runs[sort.Search(len(r.runs), func(i int) bool { return r.runs[i].Next > from }):]
}

// NewestRun gives the first of the runs that hold the newest timestamp of all runs; false if there is none.
func (x *Index) NewestRun(p topic.Partition) (newest topic.Run, ok bool) {
	for _, r := range x.Runs(p, 0) {
		if r.Length > 0 && (!ok || r.MaxTimestamp > newest.MaxTimestamp) {
			newest, ok = r, true
		}
	}
	return newest, ok
}
