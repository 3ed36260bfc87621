package trim

import "github.com/odradek/odradek/test/model/explore"

func (r Rules) next(s *State, to *explore.Steps[State]) {
	r.write(s, to)
	r.checkpoint(s, to)
	r.compact(s, to)
	r.collect(s, to)
	r.era(s, to)
	switch {
	case s.Taking && s.Closed == 0:
		r.takeOver(s, to)
	case s.Closed != 0 && !s.Owns:
		r.inherit(s, to)
	}
}

// write is P3, P4 and G3.
func (r Rules) write(s *State, to *explore.Steps[State]) {
	if s.Frozen < slots && s.Frozen-s.Acked < window {
		t := *s
		t.Frozen++
		to.Step(&t, "a record is frozen in slot %d", s.Frozen)
		if t.Starts[s.Frozen] = s.Starting && s.Frozen > 0; t.Starts[s.Frozen] {
			to.Step(&t, "a log start is frozen in slot %d: all records below are deleted", s.Frozen)
		}
	}
	for k := range s.Frozen {
		if !s.Landed[k] && !s.Seals[k] {
			t := *s
			t.Landed[k] = true
			for t.Acked < t.Frozen && t.Landed[t.Acked] {
				t.Acked++
			}
			to.Step(&t, "slot %d lands", k)
		}
	}
}

// checkpoint is G1: written from the log, verified, and later perhaps damaged, but not both that are kept.
func (r Rules) checkpoint(s *State, to *explore.Steps[State]) {
	counted := s.counted()
	next := min(counted, max(s.Indexed, s.Kept[1].Next))
	if r.aheadOfIndex {
		next = counted
	}
	c := Checkpoint{Next: next, Rows: max(s.Runs, s.start(next)), Trim: s.Trim}
	if r.fromRedis {
		c.Next, c.Wrong = counted, s.Indexed < counted
	}
	if !s.Written && c.Next >= s.Kept[1].Next {
		t := *s
		t.Written, t.Newest = true, c
		to.Step(&t, "a checkpoint is written: slots below %d, rows from %d, trim %d", c.Next, c.Rows, c.Trim)
		if t.Newest.Wrong = true; r.unverified { // else it comes to nothing
			to.Fault(&t, "a checkpoint is written wrong: slots below %d", c.Next)
		}
	}
	if s.Written {
		t := *s
		t.Written, t.Kept = false, [2]Checkpoint{s.Kept[1], s.Newest}
		to.Step(&t, "the checkpoint of the slots below %d is verified", s.Newest.Next)
	}
	for i := range s.Kept {
		if !s.Kept[0].Damaged && !s.Kept[1].Damaged && s.Kept[i] != (Checkpoint{}) {
			t := *s
			t.Kept[i].Damaged = true
			to.Fault(&t, "the checkpoint of the slots below %d is damaged", s.Kept[i].Next)
			if t.Kept[1-i].Damaged = true; r.sharedPart {
				to.Fault(&t, "a part of both checkpoints is damaged")
			}
		}
	}
}

// compact is G2: MANIFEST, whose output is in package runs, and TRIM.
func (r Rules) compact(s *State, to *explore.Steps[State]) {
	plan := s.whole().Next
	if r.plansUncounted {
		plan = s.Frozen
	}
	for c := s.Runs + 1; c <= plan; c++ {
		t := *s
		t.Runs = c
		to.Step(&t, "MANIFEST: the slots below %d live on in runs", c)
	}
	limit := s.Kept[0].Next
	if r.trimsAbove {
		limit = s.Kept[1].Next
	}
	start := s.start(s.whole().Next)
	if r.startUncounted {
		start = s.start(s.Frozen)
	}
	t := *s
	for t.Trim < limit && (t.Trim < s.Runs || t.Trim < start || s.Starts[t.Trim] || r.trimsBare) {
		t.Trim++
	}
	if t.Trim > s.Trim {
		to.Step(&t, "TRIM to slot %d", t.Trim)
	}
}

// below is how far the collector may delete slots (I9): as far as the oldest checkpoint says that may be needed. What it
// may once, it may for ever, until an era is lost.
func (r Rules) below(s *State) uint8 {
	oldest := r.needed(s)
	switch {
	case r.deletesFirst:
		return s.Runs
	case r.deletesAtTrim:
		return s.Trim
	case oldest.Damaged:
		return 0 // nobody can read what it says
	}
	return oldest.Trim
}

// collect is G4.
func (r Rules) collect(s *State, to *explore.Steps[State]) {
	if s.Deleted < max(s.Doomed, r.below(s)) {
		t := *s
		t.Deleted++
		t.Seals[s.Deleted] = false
		to.Step(&t, "slot %d is deleted", s.Deleted)
	}
}

// era is P6, R2 and R3: the index in Redis, which may be lost.
func (r Rules) era(s *State, to *explore.Steps[State]) {
	if s.Indexed < s.counted() && s.there(s.Indexed) {
		t := *s
		t.Indexed++
		to.Step(&t, "slot %d is indexed", s.Indexed)
	}
	if s.Builds && s.Indexed >= s.counted() {
		t := *s
		t.Builds = false
		to.Step(&t, "the era opens")
	}
	if s.Eras == 0 {
		return
	}
	for _, c := range []Checkpoint{s.Kept[1], s.Kept[0], s.Base} {
		if !c.Damaged && (c.Next >= s.Trim || r.eraBelow) {
			t := *s
			t.Eras--
			t.Base, t.Builds, t.Indexed = c, true, c.Next
			to.Fault(&t, "Redis is lost; ERA names the checkpoint of the slots below %d", c.Next)
			t.Doomed = max(s.Doomed, r.below(s))
			to.Fault(&t, "Redis is lost; ERA names the checkpoint of the slots below %d; somebody still deletes up to %d", c.Next, t.Doomed)
		}
	}
}

// takeOver is F2 and F4: seal, read what is above a checkpoint, JOURNAL_SEALED.
func (r Rules) takeOver(s *State, to *explore.Steps[State]) {
	t := *s
	switch {
	case s.Take == NoTake:
		t.Take, t.Saw, t.At = Sealing, s.Trim, s.Trim
		if r.sealsBelow {
			t.At = 0
		}
		to.Step(&t, "a takeover begins at slot %d", t.At)
	case s.Take == Sealing && s.Seals[s.At]:
		t.Take = Sealed
		to.Step(&t, "the takeover finds the seal in slot %d", s.At)
	case s.Take == Sealing && s.there(s.At):
		t.At++
		to.Step(&t, "the takeover finds data in slot %d", s.At)
	case s.Take == Sealing:
		t.Seals[s.At], t.Take = true, Sealed
		to.Step(&t, "the takeover seals slot %d", s.At)
	case s.Take == Sealed:
		for _, c := range []Checkpoint{s.Kept[1], s.Kept[0], {}} {
			if !c.Damaged && (c.Next >= s.Saw || r.startsBelow) {
				t.Take, t.Read = Reading, c.Next
				to.Step(&t, "the taker reads the journal from slot %d on", c.Next)
			}
		}
	case s.Read < s.At && s.there(s.Read):
		t.Read++
		to.Step(&t, "the taker reads slot %d", s.Read)
	case s.Read < s.At && r.startsBelow:
		t.Read++
		t.Skipped = true
		to.Step(&t, "the taker finds slot %d gone", s.Read)
	case s.Read < s.At:
		t.Take = NoTake
		to.Step(&t, "the taker finds slot %d gone, and begins again", s.Read)
	case s.Trim != s.Saw && !r.trimUnnamed:
		t.Take = NoTake
		to.Step(&t, "JOURNAL_SEALED is void: TRIM is %d, not %d", s.Trim, s.Saw)
	default:
		t.Closed, t.Lost = 1+s.At, s.Skipped
		to.Step(&t, "JOURNAL_SEALED: the journal ends at slot %d", s.At)
	}
}

// inherit is F5: whoever is given the partition follows the journal to its seal.
func (r Rules) inherit(s *State, to *explore.Steps[State]) {
	end := s.Closed - 1
	read := s.Cursor
	if r.gainedByRuns {
		read = max(read, s.Runs)
	}
	t := *s
	if read >= end {
		t.Owns, t.Lost = true, s.Lost || s.Cursor < end
		to.Step(&t, "the heir owns the partition")
	}
	t = *s
	switch {
	case s.Cursor >= end:
	case s.there(s.Cursor):
		t.Cursor++
		to.Step(&t, "the heir reads slot %d", s.Cursor)
	case r.mirrorSkips:
		t.Cursor++
		t.Lost = true
		to.Step(&t, "the heir finds slot %d gone", s.Cursor)
	default:
		t.Cursor = max(s.Cursor, s.whole().Next)
		to.Step(&t, "the heir finds slot %d gone, and takes in the checkpoint of the slots below %d", s.Cursor, s.whole().Next)
	}
}
