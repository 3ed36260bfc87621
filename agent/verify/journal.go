package verify

import (
	"context"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// journal is one journal on the walk.
type journal struct {
	*control.Journal
	info   JournalInfo
	walked bool
	lost   int                      // slots that could not be read: what they held is not known
	own    map[topic.Partition]*run // the newest run of each partition
	recent map[topic.Slot]segment.SlotExtents
}

// trimmed reports whether slots of the journal were not read, because they need not be there.
func (j *journal) trimmed() bool { return j.Trim > 0 }

// walkJournal reads a journal from its TRIM to its seal, or to the first slot that is not there if it is open.
func (w *walk) walkJournal(ctx context.Context, c *control.Journal) error {
	j := &journal{
		Journal: c,
		info:    JournalInfo{ID: c.ID.String(), NodeID: c.NodeID, Opened: c.Opened, State: StateOpen, Trim: c.Trim, End: c.Trim},
		own:     make(map[topic.Partition]*run), recent: make(map[topic.Slot]segment.SlotExtents),
	}
	w.journals[c.ID] = j
	to := endless
	if c.Sealed {
		j.info.State = StateSealed
		to = c.SealSlot + 1
	}
	err := ahead(ctx, c.Trim, to, w.opt.Reads, func(ctx context.Context, s topic.Slot) (slotRead, error) {
		return w.readSlot(ctx, c.ID, s)
	}, func(s topic.Slot, r slotRead) (bool, error) {
		if r.missing {
			gone, err := w.trimmedMeanwhile(ctx, j, s)
			if gone || err != nil {
				return true, err
			}
		}
		if c.Sealed {
			return true, w.takeSealed(ctx, j, s, r)
		}
		return w.takeOpen(ctx, j, s, r)
	})
	if err != nil {
		return err
	}
	j.walked = true
	w.behindEnd(j)
	w.compareEnd(j)
	w.report.Journals = append(w.report.Journals, j.info)
	return nil
}

// trimmedMeanwhile says whether a slot that is missing was trimmed, and deleted, while the bucket was walked. What it held
// is not known then.
func (w *walk) trimmedMeanwhile(ctx context.Context, j *journal, s topic.Slot) (bool, error) {
	if _, listed := w.listed.journals[j.ID].size(s); !listed {
		return false, nil // the end of the journal, or lost long ago
	}
	if _, err := w.catchUp(ctx); err != nil {
		return false, err
	}
	if now, ok := w.now.Journal(j.ID); !ok || s >= now.Trim {
		return false, nil
	}
	if j.lost == 0 {
		w.note("journal %s was trimmed while it was read, from slot %d on", j.ID, s)
	}
	j.lost++
	j.info.End = s + 1
	w.takeForCheckpoints(j, nil, s)
	return true, nil
}

// takeSealed takes a slot of a journal whose JOURNAL_SEALED holds: all below the seal are data, for ever.
func (w *walk) takeSealed(ctx context.Context, j *journal, s topic.Slot, r slotRead) error {
	key := slotlog.JournalKey(j.ID, s)
	switch {
	case r.missing && s == j.SealSlot && s == j.Trim: // nothing needs it, and it may go (G4)
	case r.missing && s == j.SealSlot:
		w.find(key, "slot missing, where JOURNAL_SEALED says that the seal is")
	case r.missing:
		w.find(key, "slot missing, JOURNAL_SEALED says that all below %d count", j.SealSlot)
		j.lost++
	case s == j.SealSlot && r.kind == slotlog.Data:
		w.find(key, "holds data, where JOURNAL_SEALED says that the seal is")
	case r.kind == slotlog.Seal && s < j.SealSlot:
		w.find(key, "holds a seal, JOURNAL_SEALED says slot %d", j.SealSlot)
		j.lost++
	case r.kind == slotlog.Seal:
		w.problems(key, r)
		j.info.SealedBy = r.text
	default:
		return w.take(ctx, j, s, r)
	}
	j.info.End = min(s+1, j.SealSlot)
	return nil
}

// takeOpen takes a slot of a journal whose agent may be running.
func (w *walk) takeOpen(ctx context.Context, j *journal, s topic.Slot, r slotRead) (bool, error) {
	key := slotlog.JournalKey(j.ID, s)
	switch {
	case r.missing:
		w.openTail(j, s)
		return false, nil
	case r.kind == slotlog.Seal:
		w.problems(key, r)
		j.info.State, j.info.SealedBy = StateSealedOnly, r.text
		w.note("journal %s is sealed at slot %d, which no control record says yet", j.ID, s)
		return false, nil
	}
	return true, w.take(ctx, j, s, r)
}

// openTail judges the hole in which an open journal ends. Up to K slots are in flight at once, so that whatever is there
// was sent when all slots K and more below it counted (S2): they can only have been lost since.
func (w *walk) openTail(j *journal, hole topic.Slot) {
	l := w.listed.journals[j.ID]
	if l == nil {
		return
	}
	key := slotlog.JournalKey(j.ID, hole)
	if _, ok := l.size(hole); ok {
		w.find(key, "slot missing, though it was listed a moment ago")
		return
	}
	if l.end > hole && l.end-1 >= hole+topic.Slot(j.K) {
		w.find(key, "slot missing, though slot %d is there and at most %d are in flight", l.end-1, j.K)
	}
}

// behindEnd accounts for the slots that were listed, and reports those behind the journal's end: they do not count (I2).
func (w *walk) behindEnd(j *journal) {
	l := w.listed.journals[j.ID]
	if l == nil {
		return
	}
	end, why := j.info.End, "behind the seal at slot %d"
	if j.info.State == StateOpen {
		why = "above a hole at slot %d: in flight, or left by an agent that died"
	}
	before := w.report.Totals.Garbage
	for s, size := range l.each(0) {
		switch {
		case s < j.Trim && w.pinnedSlot(j.ID, s):
			w.account(ClassPinned, size)
		case s < j.Trim:
			w.account(ClassGrace, size)
		case s <= end:
			w.account(ClassSlots, size)
		default:
			w.discard(slotlog.JournalKey(j.ID, s), size, sprint(why, end))
		}
	}
	for range l.more {
		w.account(ClassOrphans, 0) // how large they are was not remembered
	}
	w.report.Totals.Garbage += l.more
	j.info.Garbage = w.report.Totals.Garbage - before
}

// problems reports what is wrong with an object by itself.
func (w *walk) problems(key string, r slotRead) {
	for _, p := range r.problems {
		w.find(key, "%s", p)
	}
}

// take takes a data slot that counts.
func (w *walk) take(ctx context.Context, j *journal, s topic.Slot, r slotRead) error {
	key := slotlog.JournalKey(j.ID, s)
	w.problems(key, r)
	j.info.Slots++
	j.info.Bytes += r.size
	j.info.End = s + 1
	w.report.Totals.Slots++
	w.report.Totals.Bytes += r.size
	w.report.Totals.Batches += r.batches
	if err := w.compareSlot(ctx, j, s, r); err != nil {
		return err
	}
	w.takeForCheckpoints(j, r.footer, s)
	if r.footer == nil {
		j.lost++
		return nil
	}
	if err := w.takeFooter(ctx, j, key, r); err != nil {
		return err
	}
	return w.takeSummary(ctx, j, key, r.footer)
}
