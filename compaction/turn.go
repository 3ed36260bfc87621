package compaction

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/topic"
)

// work is what an agent may do about checkpoints.
type work uint8

const (
	toRest work = iota
	toBuild
	toVerify
)

func (w work) String() string { return [...]string{"none", "build", "verify"}[w] }

// view is what one agent sees of the cluster's checkpoints at one moment.
type view struct {
	slots, records int           // since the newest verified checkpoint
	extents        int           // in those slots
	aged           time.Duration // for how long that is the newest one, as far as this agent knows
	due            time.Duration // for how long a new one is due, by size or by time
	rank, ranks    int           // this agent's place among those that may work on the next one, and their number

	pending control.CheckpointInfo // the newest one, if it is not verified; else of id 0
	waited  time.Duration          // for how long that is known
	mine    bool                   // this agent made it
	owing   bool                   // something can be trimmed or deleted only after another checkpoint
	cleaner int                    // this agent's place among those that trim and delete: the others look more seldom
}

const (
	staggered = 5               // ranks that wait a whole Stagger longer than the one before
	crowd     = 5 * time.Second // what each one behind them waits longer
)

// delay is how long rank n waits.
func (c Config) delay(n int) time.Duration {
	return time.Duration(min(n, staggered))*c.Stagger + time.Duration(max(0, n-staggered))*crowd
}

// isDue says whether another checkpoint is to be made: because much happened, or some time went by and something did.
func (v view) isDue(cfg Config) bool {
	return v.slots >= cfg.Slots || v.extents >= cfg.Extents || v.records >= cfg.Records ||
		v.aged >= cfg.Interval && (v.slots >= cfg.LeastSlots || v.records >= cfg.LeastRecords || v.owing)
}

// turn says what this agent is to do now. The first in rank builds, the second verifies, the builder itself only if all
// others had their time; each following one waits longer. One that nobody verified by then is given up, and another is made.
func (v view) turn(cfg Config) work {
	if v.rank < 0 {
		return toRest
	}
	given := cfg.delay(v.ranks) + cfg.Interval
	if !v.pending.ID.IsZero() && v.waited < given {
		place := v.rank - 1
		switch {
		case v.mine:
			place = v.ranks - 1
		case v.rank == 0: // another built it: this agent was away
			place = max(0, v.ranks-2)
		}
		if v.waited >= cfg.delay(place) {
			return toVerify
		}
		return toRest
	}
	if v.isDue(cfg) && v.due >= cfg.delay(v.rank) {
		return toBuild
	}
	return toRest
}

// watch remembers since when an agent sees what it sees. It belongs to one goroutine.
type watch struct {
	newest  control.CheckpointID // verified
	since   time.Time            // when that was seen first
	due     time.Time            // when the next was seen to be due first; zero while it is not
	pending control.CheckpointID
	seen    time.Time            // when that was
	mine    control.CheckpointID // made here last
}

// look gives what there is to see now. extents says how many there are since a checkpoint, in so many slots; nil: none.
func (w *watch) look(log Log, cfg Config, now time.Time, extents func(control.CheckpointInfo, int) int) view {
	s := log.State()
	newest, _ := s.NewestCheckpoint()
	var v view
	if w.since.IsZero() || newest.ID != w.newest {
		w.newest, w.since, w.due = newest.ID, now, time.Time{}
	}
	v.aged = now.Sub(w.since)
	v.slots, v.records = grown(log, s, newest)
	if extents != nil {
		v.extents = extents(newest, v.slots)
	}
	if all := s.Checkpoints(); len(all) > 0 && !all[len(all)-1].Verified {
		v.pending = all[len(all)-1]
	}
	if v.pending.ID != w.pending {
		w.pending, w.seen = v.pending.ID, now
	}
	if !v.pending.ID.IsZero() {
		v.waited, v.mine = now.Sub(w.seen), v.pending.ID == w.mine
	}
	switch {
	case !v.isDue(cfg):
		w.due = time.Time{}
	case w.due.IsZero():
		w.due = now
	}
	if !w.due.IsZero() {
		v.due = now.Sub(w.due)
	}
	v.rank, v.ranks = cfg.Ranked(s, itemOf(newest.Control))
	v.cleaner, _ = cfg.Ranked(s, itemOf(everyNumber))
	v.cleaner = max(v.cleaner, 0)
	return v
}

// grown gives how many slots and control numbers there are since a checkpoint. Control numbers that tell of checkpoints
// themselves do not count.
func grown(log Log, s *control.State, since control.CheckpointInfo) (slots, records int) {
	for j := range s.Journals() {
		to := log.Counted(j.ID)
		if j.Sealed {
			to = min(to, j.SealSlot)
		}
		if next := max(since.Next(j.ID), j.Trim); to > next {
			slots += int(to - next)
		}
	}
	records = int(s.Next() - 1 - since.Control)
	if !since.ID.IsZero() {
		records = max(0, records-2)
	}
	return slots, records
}

// everyNumber stands for no control number: who sweeps does not change with each checkpoint.
const everyNumber = ^topic.Slot(0)

// rank gives a journal's place among those that are open, by rendezvous with a control number; -1 if it is not one of them.
// One whose agent drains comes behind the others.
func rank(s *control.State, mine topic.JournalID, number topic.Slot) (place, of int) {
	return rankFor(s, mine, itemOf(number))
}

// itemOf gives what stands for a control number in a rendezvous.
func itemOf(number topic.Slot) (item topic.JournalID) {
	binary.BigEndian.PutUint64(item[:], uint64(number))
	return item
}

// rankFor is rank for another item, which must be no open journal.
func rankFor(s *control.State, mine, item topic.JournalID) (place, of int) {
	var stay, leave []topic.JournalID
	for _, j := range s.OpenJournals() {
		if j.Draining {
			leave = append(leave, j.ID)
		} else {
			stay = append(stay, j.ID)
		}
	}
	ranked := append(placement.Rank(item, stay), placement.Rank(item, leave)...)
	return slices.Index(ranked, mine), len(ranked)
}
