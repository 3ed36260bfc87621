package runs

import (
	"slices"

	"github.com/odradek/odradek/test/model/explore"
)

func (r Rules) next(s *State, to *explore.Steps[State]) {
	for i := range uint8(compactors) {
		r.compact(s, i, to)
	}
	r.control(s, to)
	r.collect(s, to)
	if s.Reads {
		r.read(s, to)
	}
	if s.Starts && s.Start < records && !s.Deleted {
		t := *s
		t.Start++
		to.Fault(&t, "a log start counts: records below %d are deleted", t.Start)
	}
}

// compact is G2.
func (r Rules) compact(s *State, i uint8, to *explore.Steps[State]) {
	w := s.Work[i]
	switch w.Step {
	case Idle:
		if s.Planned < s.Outputs && !s.Deleted {
			r.plan(s, i, to)
		}
		return
	case Planned:
		t := *s
		t.Work[i].Step = Put
		t.Exists |= output(w.Output)
		for k := max(w.From, w.Base); k < w.To; k++ {
			t.Holds[w.Output][k] = s.gives(w.Inputs[k], k) && !(k == 0 && w.Drops)
			if s.Exists&w.Inputs[k] == 0 {
				t.Work[i].Step, t.Exists = Idle, s.Exists // it fails, the log stays as it is
			}
			if r.deletesFirst {
				t.Exists &^= w.Inputs[k] &^ slots
			}
		}
		if t.Work[i].Step == Idle {
			t = *s
			t.Work[i].Step = Idle
			to.Step(&t, "compactor %d finds an input gone", i)
		} else {
			to.Step(&t, "compactor %d puts output %d", i, w.Output)
		}
	case Put:
		t := *s
		t.Work[i].Step = Idle
		if why := r.void(s, w); why != "" {
			to.Step(&t, "MANIFEST of output %d is void: %s", w.Output, why)
		} else {
			r.swap(&t, w)
			to.Step(&t, "MANIFEST: output %d holds records %d to %d", w.Output, max(w.From, w.Base), w.To-1)
		}
	}
	t := *s
	t.Work[i].Step = Idle
	to.Fault(&t, "compactor %d crashes", i)
}

// plan lists what may be compacted: slots from C on, or all runs there are, with or without key compaction.
func (r Rules) plan(s *State, i uint8, to *explore.Steps[State]) {
	plan := func(w Compactor, what string) {
		t := *s
		w.Step, w.Output, w.At, w.Base = Planned, s.Planned, s.Now, s.Kept[1].Start
		for k := w.From; k < w.To; k++ {
			w.Inputs[k] = s.place(k)
		}
		t.Planned++
		t.Made[w.Output], t.Work[i] = s.Now, w
		to.Step(&t, "compactor %d plans output %d, %s %d to %d", i, w.Output, what, w.From, w.To-1)
	}
	for end := max(s.End, s.Kept[1].Start) + 1; end <= records; end++ {
		plan(Compactor{From: s.End, To: end}, "of slots")
	}
	first := uint8(0)
	for first < s.End && s.Runs[first] == 0 {
		first++
	}
	if first < s.End && s.Kept[1].Start < s.End {
		if s.Drops || s.Runs[first] != s.Runs[s.End-1] {
			plan(Compactor{From: first, To: s.End}, "of the runs")
		}
		if s.Drops && s.End == records && first == 0 && s.Kept[1].Start == 0 && !s.Dropped {
			plan(Compactor{From: 0, To: s.End, Drops: true}, "of the runs, without a dropped key,")
		}
	}
}

// void tells why a MANIFEST does not hold (S3).
func (r Rules) void(s *State, w Compactor) string {
	switch {
	case s.Deleted && !r.deletedTopic:
		return "the topic is deleted"
	case s.Made[w.Output] < s.Swept && !r.namesSwept && !r.sweepsByAge:
		return "it was planned before SWEEP"
	case r.blind:
		return ""
	}
	for k := w.From; k < w.To; k++ {
		now := s.place(k)
		if r.offsetsOnly && now&slots == 0 && w.Inputs[k]&slots == 0 {
			continue
		}
		if now != w.Inputs[k] {
			return "its inputs are not current"
		}
	}
	return ""
}

// swap applies a MANIFEST.
func (r Rules) swap(t *State, w Compactor) {
	t.Now++
	t.Once |= output(w.Output)
	for k := w.From; k < w.To; k++ {
		t.Runs[k] = 0
		if k >= w.Base {
			t.Runs[k] = output(w.Output)
		}
	}
	t.End = max(t.End, w.To)
	t.Dropped = t.Dropped || w.Drops
}

// control is what else is appended to the control log: MANIFEST without output, TOPIC_DELETE, checkpoints.
func (r Rules) control(s *State, to *explore.Steps[State]) {
	if !s.Deleted {
		for k := range s.Kept[1].Start {
			if s.Runs[k] != 0 && (k+1 == records || s.Runs[k+1] != s.Runs[k] || k+1 == s.End) {
				t := *s
				t.Now++
				for n := range k + 1 {
					t.Runs[n] = 0
				}
				to.Step(&t, "MANIFEST without output: records up to %d are below the log start", k)
				break
			}
		}
	}
	if s.Topic && !s.Deleted {
		t := *s
		t.Now++
		t.Deleted, t.Runs = true, [records]Set{}
		to.Fault(&t, "TOPIC_DELETE")
	}
	r.checkpoint(s, to)
}

// checkpoint is G1.
func (r Rules) checkpoint(s *State, to *explore.Steps[State]) {
	if !s.Written {
		t := *s
		t.Written, t.At = true, s.Now
		t.Newest = Checkpoint{s.named(s.Start), s.Once, s.Swept, s.Start}
		to.Step(&t, "a checkpoint is written")
		return
	}
	t := *s
	t.Written = false
	if r.sweepsNow && s.At < s.Swept {
		to.Step(&t, "CHECKPOINT is void: it stands below SWEEP")
		return
	}
	t.Now++
	t.Kept = [2]Checkpoint{s.Kept[1], s.Newest}
	to.Step(&t, "the checkpoint is verified")
}

// collect is I9, G4 and G5.
func (r Rules) collect(s *State, to *explore.Steps[State]) {
	for _, m := range s.marks() {
		t := *s
		t.Now += 2
		t.Swept = m
		to.Step(&t, "SWEEP of what was planned up to %d", m-1)
	}
	oldest := s.Kept[0]
	now := s.named(s.Start)
	for i := range uint8(outputs) {
		o := output(i)
		may := oldest.Names&o == 0 && (oldest.Once&o != 0 || s.Made[i] < oldest.Swept)
		switch kept := s.Kept[0].Names | s.Kept[1].Names; {
		case r.sweepsByAge:
			may = (now|kept)&o == 0
		case r.sweepsNow:
			may = (now|kept)&o == 0 && s.Made[i] < s.Swept
		case r.onceNow:
			may = (now|kept)&o == 0 && s.Once&o != 0
		case r.keptUnasked:
			may = now&o == 0 && s.Made[i] < s.Swept
		}
		if r.unnamedDrop {
			below := true
			for k := range uint8(records) {
				below = below && (!s.Holds[i][k] || k < s.Start)
			}
			may = may || below && now&o != 0
		}
		if s.Exists&o != 0 && may {
			t := *s
			t.Exists &^= o
			to.Step(&t, "output %d is deleted", i)
		}
	}
}

// marks lists what a SWEEP may say: those that tell anything apart.
func (s *State) marks() (list []Number) {
	if s.Written && s.At >= s.Swept {
		list = append(list, s.At+1)
	}
	for i, n := range s.Made {
		if n > 0 && n >= s.Swept && !slices.Contains(list, n+1) {
			list = append(list, s.Made[i]+1)
		}
	}
	return list
}

// read is C2: a reader has a plan of long ago.
func (r Rules) read(s *State, to *explore.Steps[State]) {
	if s.Deleted {
		return
	}
	t := *s
	for k := range uint8(records) {
		t.Plan[k] = s.place(k)
		if rows := s.Kept[0].Names & slot(k); r.rowsStand && rows != 0 {
			t.Plan[k] = rows
			if k == 0 && s.Dropped {
				to.Broken("I5: a record that key compaction dropped comes back")
			}
		}
	}
	if t.Plan != s.Plan {
		to.Step(&t, "a reader plans")
	}
	for k := s.Start; k < records; k++ {
		o, dropped := s.Plan[k], k == 0 && s.Dropped
		switch {
		case o == 0:
		case s.Exists&o == 0: // it reads the control log, and plans anew
			if r.skipsGone && !dropped {
				to.Broken("I5: a reader passes over a record that the log holds")
			}
		case !s.gives(o, k) && !dropped:
			to.Broken("I5: a reader passes over a record that the log holds")
		}
	}
}
