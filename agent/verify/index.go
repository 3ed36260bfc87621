package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Index is the copy of the index to be proved against the bucket, as metadata.Store gives it.
type Index interface {
	Current(ctx context.Context, era uint64) (metadata.EraStatus, error)
	Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error)
	Ends(ctx context.Context, pin metadata.Pin, partitions []topic.Partition) ([]metadata.End, error)
}

// indexBatch is how many segments are read from the index at once.
const indexBatch = 256

// indexWalk proves the index while the bucket is walked. It is read before the bucket is, so that what it holds must be
// there (I6), and compared with what is read afterwards. It belongs to Run's goroutine.
type indexWalk struct {
	index  Index
	pin    metadata.Pin
	report *IndexReport
	over   bool // the era is not open any more: nothing more can be told

	known         topic.Slot // by this control number all of asked were there
	asked         []topic.Partition
	ends          []metadata.End     // of asked
	before, after metadata.EraStatus // ends were read between them

	read []metadata.Segment               // of the journal that is walked, from the slot that is due
	low  map[topic.Partition]metadata.End // what slots that were indexed in before make of a partition
	high map[topic.Partition]metadata.End // and what those in after do
}

// readIndex looks at the index as it is now. Without an open era there is nothing to prove, which the report says.
func (w *walk) readIndex(ctx context.Context) error {
	if w.opt.Index == nil {
		return nil
	}
	r := &IndexReport{}
	w.report.Index = r
	x := &indexWalk{
		index: w.opt.Index, report: r, low: map[topic.Partition]metadata.End{},
		high: map[topic.Partition]metadata.End{},
	}
	s, _, err := Beginning(ctx, w.store, w.opt.Reads) // for the partitions there are; the walk reads the log again, behind the index
	if errors.Is(err, ErrForgotten) {
		r.NotChecked = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	err = EachControl(ctx, w.store, s, w.opt.Reads, func(n Number) error { s = n.After; return nil })
	var broken *ControlError
	if err != nil && !errors.As(err, &broken) {
		return fmt.Errorf("read the control log: %w", err)
	}
	status, err := x.index.Current(ctx, 0)
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	r.RunID, r.ReplicationID = status.RunID, status.ReplicationID
	if !status.OpenPinned || status.OpenEra == 0 {
		r.NotChecked = "no era is open there"
		return nil
	}
	r.Era = status.OpenEra
	x.pin = metadata.Pin{Era: status.OpenEra, RunID: status.RunID, ReplicationID: status.ReplicationID}
	x.known = s.Next()
	for t := range s.Topics() {
		for i := range t.Partitions() {
			x.asked = append(x.asked, topic.Partition{Topic: t.ID, Index: i})
		}
	}
	if x.before, err = x.index.Current(ctx, x.pin.Era); err == nil {
		if x.ends, err = x.index.Ends(ctx, x.pin, x.asked); err == nil {
			x.after, err = x.index.Current(ctx, x.pin.Era)
		}
	}
	if err == nil && !(x.holds(x.before) && x.holds(x.after)) {
		err = metadata.ErrEra
	}
	if err = x.gone(err); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if !x.over {
		w.index = x
	}
	return nil
}

// holds says whether a status, which carries no pin, is that of the open era still.
func (x *indexWalk) holds(s metadata.EraStatus) bool {
	return s.Open() && s.RunID == x.pin.RunID && s.ReplicationID == x.pin.ReplicationID
}

// gone takes the answer that the era is not there any more, and gives any other error back.
func (x *indexWalk) gone(err error) error {
	if !errors.Is(err, metadata.ErrEra) {
		return err
	}
	x.over = true
	x.report.NotChecked = fmt.Sprintf("era %d went while it was read", x.pin.Era)
	return nil
}

// checkIdentity checks that the open era is one that the control log names for this store, and tells if it is an old one.
func (w *walk) checkIdentity() {
	x := w.index
	if x == nil || !w.whole {
		return
	}
	named := false
	for _, e := range w.state.Eras() {
		named = named || uint64(e.Number) == x.pin.Era && e.RunID == x.pin.RunID && e.ReplicationID == x.pin.ReplicationID
	}
	newest, _ := w.state.NewestEra()
	switch {
	case !named:
		w.find(inIndex, "era %d is open for run %s, replication %s, which no control record names", x.pin.Era, x.pin.RunID, x.pin.ReplicationID)
	case uint64(newest.Number) != x.pin.Era:
		w.note("the index holds era %d, era %d is the newest", x.pin.Era, newest.Number)
	}
	if n := w.state.Next(); x.after.Applied >= n {
		w.find(inIndex, "control number %d is applied, the control log ends at %d (I6)", x.after.Applied, n-1)
	}
	for _, id := range sortedJournals(x.after.Journals) {
		if _, ok := w.state.Journal(id); !ok {
			w.find(inIndex, "holds journal %s, which no control record opened (I6)", id)
		}
	}
}

// inIndex is the object of findings in the index.
const inIndex = "index"

func sortedJournals(all map[topic.JournalID]metadata.JournalStatus) []topic.JournalID {
	ids := make([]topic.JournalID, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b topic.JournalID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// compareSlot compares a slot that counts with what the index holds of it.
func (w *walk) compareSlot(ctx context.Context, j *journal, s topic.Slot, r slotRead) error {
	x := w.index
	if x == nil || x.over || r.footer == nil || s >= x.after.Journals[j.ID].Next {
		return nil
	}
	have, ok, err := x.segment(ctx, j.ID, s)
	if err != nil || x.over {
		return err
	}
	if !ok {
		next, known := w.loadedUpTo(j.ID)
		if known && s < max(next, w.droppedUpTo(j.ID)) { // not there slot by slot, but in the ends
			loaded := metadata.Segment{Extents: r.footer.Extents, LogStarts: r.footer.LogStarts}
			x.take(x.high, loaded)
			x.take(x.low, loaded)
		}
		return nil
	}
	x.report.Slots++
	name := fmt.Sprintf("%s: slot %d of journal %s", inIndex, s, j.ID)
	object := slotlog.JournalKey(j.ID, s)
	if !slices.Equal(have.Extents, r.footer.Extents) {
		w.find(name, "is not as the footer of %s says: extents: %s", object, firstDifference(have.Extents, r.footer.Extents))
	}
	if !slices.Equal(have.LogStarts, r.footer.LogStarts) {
		w.find(name, "is not as the footer of %s says: log starts: %s", object, firstDifference(have.LogStarts, r.footer.LogStarts))
	}
	x.take(x.high, have)
	if s < x.before.Journals[j.ID].Next {
		x.take(x.low, have)
	}
	return nil
}

// segment gives a slot as the index holds it. It is not ok for one below those that the era was loaded with.
func (x *indexWalk) segment(ctx context.Context, j topic.JournalID, s topic.Slot) (metadata.Segment, bool, error) {
	for len(x.read) > 0 && (x.read[0].Journal != j || x.read[0].Slot < s) {
		x.read = x.read[1:]
	}
	if len(x.read) == 0 {
		var err error
		x.read, err = x.index.Segments(ctx, x.pin, []metadata.Cursor{{Journal: j, From: s}}, indexBatch)
		if err = x.gone(err); err != nil {
			return metadata.Segment{}, false, fmt.Errorf("read the index: %w", err)
		}
	}
	if len(x.read) == 0 || x.read[0].Slot != s {
		return metadata.Segment{}, false, nil
	}
	return x.read[0], true, nil
}

// loadedUpTo gives the first slot of a journal that the open era was not loaded with. It is not known if the checkpoint
// that the era was recovered from is not kept any more, because a newer era was named.
func (w *walk) loadedUpTo(j topic.JournalID) (next topic.Slot, known bool) {
	for _, e := range w.state.Eras() {
		if uint64(e.Number) != w.index.pin.Era {
			continue
		}
		for _, c := range w.state.Checkpoints() {
			if c.Control == e.Checkpoint {
				return c.Next(j), true
			}
		}
		return 0, e.Checkpoint == 0
	}
	return 0, false
}

// droppedUpTo gives the slot below which the index need not hold a journal slot by slot: a VERIFIED lets it forget what the
// second newest verified checkpoint has.
func (w *walk) droppedUpTo(j topic.JournalID) topic.Slot {
	verified := 0
	for _, c := range slices.Backward(w.now.Checkpoints()) {
		if c.Verified {
			if verified++; verified == 2 {
				return c.Next(j)
			}
		}
	}
	return 0
}

// take adds what a slot makes of its partitions.
func (x *indexWalk) take(ends map[topic.Partition]metadata.End, s metadata.Segment) {
	for _, e := range s.Extents {
		end := ends[e.Partition]
		end.Next = max(end.Next, e.Next)
		ends[e.Partition] = end
	}
	for _, l := range s.LogStarts {
		end := ends[l.Partition]
		end.Start = max(end.Start, l.Start)
		ends[l.Partition] = end
	}
}

// compareEnd compares a journal's end with how far it is indexed: never further (I6).
func (w *walk) compareEnd(j *journal) {
	x := w.index
	if x == nil || x.over {
		return
	}
	have := x.after.Journals[j.ID]
	if have.Next > j.info.End {
		w.find(inIndex, "slots [%d,%d) of journal %s are indexed and do not count (I6): it is %s at slot %d",
			j.info.End, have.Next, j.ID, j.info.State, j.info.End)
	}
	if have.Sealed && (!j.Sealed || have.Seal != j.SealSlot) {
		if now, _ := w.now.Journal(j.ID); !now.Sealed || now.SealSlot != have.Seal {
			w.find(inIndex, "journal %s is sealed at slot %d there, by no control record", j.ID, have.Seal)
		}
	}
}

// endIndex compares the ends of the partitions and tells what the index lags behind, at last.
func (w *walk) endIndex(ctx context.Context) error {
	x := w.index
	if x == nil || x.over {
		return nil
	}
	w.compareEnds()
	x.report.Applied = x.after.Applied
	now, err := x.index.Current(ctx, x.pin.Era)
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if !x.holds(now) {
		return x.gone(metadata.ErrEra)
	}
	x.report.Applied = now.Applied
	if end := w.now.Next(); now.Applied+1 < end {
		x.report.lag("control numbers [%d,%d) are not applied", now.Applied+1, end)
	}
	for _, j := range inOrder(w.state) {
		walked, next := w.journals[j.ID], now.Journals[j.ID].Next
		if walked != nil && next < walked.info.End {
			x.report.SlotsBehind += walked.info.End - next
			x.report.lag("slots [%d,%d) of journal %s are not indexed", next, walked.info.End, j.ID)
		}
	}
	return nil
}

// compareEnds compares where the index says that partitions start and end with what its slots make of them. The answers
// were given between two looks; beside agents that go on they lie between what these two make.
func (w *walk) compareEnds() {
	x := w.index
	if _, known := w.loadedUpTo(topic.JournalID{}); !known {
		return // what the era was loaded with is not known
	}
	for id, j := range w.journals {
		if j.lost > 0 || x.after.Journals[id].Next > j.info.End {
			return // told already, and what these slots make of the ends is not known
		}
	}
	for i, p := range x.asked {
		t, exists := w.now.TopicByID(p.Topic)
		if !exists {
			continue
		}
		name, have := fmt.Sprintf("%s/%d", t.Name, p.Index), x.ends[i]
		low, high := x.low[p], x.high[p]
		c, stands := w.state.Compaction(p), w.stands[p] // what slots below TRIM said, at most
		high.Next, high.Start = max(high.Next, c.End, stands.End), max(high.Start, c.Start, stands.Start)
		switch {
		case !have.Known && x.before.Applied+1 >= x.known:
			w.find(inIndex, "does not know %s, though control number %d is applied", name, x.before.Applied)
		case !have.Known:
		case have.Next < low.Next || have.Next > high.Next:
			w.find(inIndex, "%s ends at %d, its indexed slots end at %s", name, have.Next, between(low.Next, high.Next))
		case have.Start < low.Start || have.Start > high.Start:
			w.find(inIndex, "%s starts at %d, its indexed slots say %s", name, have.Start, between(low.Start, high.Start))
		default:
			x.report.Ends++
		}
	}
}

func between(low, high topic.Offset) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

// lag notes what the index does not hold yet.
func (r *IndexReport) lag(format string, args ...any) {
	r.Lag = append(r.Lag, fmt.Sprintf(format, args...))
}
