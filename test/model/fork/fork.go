package fork

import "github.com/odradek/odradek/test/model/explore"

func (r Rules) next(s *State, to *explore.Steps[State]) {
	r.compact(s, to)
	r.collect(s, to)
	r.fork(s, to)
	r.forked(s, to)
	t := *s
	t.Checkpoint = t.Parent
	to.Step(&t, "a checkpoint counts in the parent")
	if s.Deleted {
		return
	}
	if s.Starts && s.Parent.Start < starts {
		t := *s
		t.Parent.Start++
		to.Fault(&t, "a log start counts in the parent")
	}
	t = *s
	t.Deleted, t.Dirty, t.Parent.Live = true, true, 0
	to.Fault(&t, "TOPIC_DELETE in the parent")
}

// compact is G2; package runs tells more of it.
func (r Rules) compact(s *State, to *explore.Steps[State]) {
	t := *s
	switch s.Step {
	case Idle:
		for _, in := range []Set{1, slots} {
			if s.Parent.Live&s.Checkpoint.Live&in == in {
				t.Step, t.Inputs = Planned, in
				to.Fault(&t, "the compactor plans")
			}
		}
	case Planned:
		t.Step, t.Covers, t.Exists = Put, s.covers(s.Inputs), s.Exists|outputA
		to.Fault(&t, "the compactor puts its output")
	case Put:
		t.Step = Over
		if s.Inputs&^s.Parent.Live == 0 && s.Swept&outputA == 0 {
			t.Dirty, t.Parent.Live = true, s.Parent.Live&^s.Inputs|outputA
			to.Fault(&t, "MANIFEST in the parent")
		}
		t = *s
		t.Step = Over
		to.Fault(&t, "the compactor gives up")
	}
	if s.Parent.Live&outputA != 0 && dead(s.covers(outputA), s.Checkpoint.Start) {
		t := *s
		t.Dirty = true
		t.Parent.Live &^= outputA
		to.Step(&t, "MANIFEST without output in the parent: it lies below the log start")
	}
}

// collect is TRIM, SWEEP, I9.
func (r Rules) collect(s *State, to *explore.Steps[State]) {
	if k := s.Parent.Trim; k < records {
		if o := Set(1) << k; s.Checkpoint.Live&o == 0 || dead(s.covers(o), s.Checkpoint.Start) || s.Deleted {
			t := *s
			t.Parent.Trim++
			t.Parent.Live &^= o
			t.Dirty = true
			to.Step(&t, "TRIM passes slot %d", k)
		}
	}
	for i := range names {
		o := Set(1) << i
		held := r.named(s)&o != 0
		if o&slots == 0 && s.Exists&o != 0 && !held && s.Swept&o == 0 {
			t := *s
			t.Swept |= o
			t.Dirty = true
			to.Step(&t, "SWEEP: %s is older", names[i])
		}
		may := s.Swept&o != 0 || o&slots != 0 && s.Parent.Trim > uint8(i)
		if o == outputA && r.dropsUnnamed && dead(s.covers(o), s.Parent.Start) {
			may = may || s.Parent.Live&o != 0
		}
		if s.Exists&^s.Doomed&o != 0 && !held && may {
			t := *s
			t.Doomed |= o
			to.Step(&t, "the collector decides to delete %s", names[i])
		}
		if s.Doomed&o != 0 {
			t := *s
			t.Exists, t.Doomed = t.Exists&^o, t.Doomed&^o
			to.Step(&t, "%s is deleted", names[i])
		}
	}
}

// fork is G6 and G7: D and n are read one after the other, in any order; then FORK is appended.
func (r Rules) fork(s *State, to *explore.Steps[State]) {
	t := *s
	switch s.Birth {
	case Unborn, Asked:
		if !s.HasD && !s.Deleted {
			t.Birth, t.HasD, t.ReadStart = Asked, true, s.Parent.Start
			to.Fault(&t, "the forker reads D")
		}
		t = *s
		if !s.HasN && !s.Deleted {
			t.Birth, t.HasN, t.Dirty, t.Read, t.CheckAtN = Asked, true, false, s.Parent, s.Checkpoint.Start
			to.Fault(&t, "the forker reads the control log up to n")
		}
		if !s.HasD || !s.HasN {
			return
		}
		if t = *s; s.Dirty && !r.neverVoid || s.ReadStart < s.CheckAtN && !r.anyD {
			t.Birth, t.HasD, t.HasN = Unborn, false, false
			to.Fault(&t, "FORK is void, the forker begins again")
			return
		}
		t.Birth, t.Pins = Pinned, s.Read.Live
		to.Fault(&t, "FORK counts in the parent")
		if r.unborn {
			r.bear(s, to)
		}
	case Pinned:
		r.bear(s, to)
		if !r.noTombstone {
			t.Birth, t.Pins = Aborted, 0
			to.Step(&t, "a tombstone takes the fork's control/0, its pins are dropped")
		}
	}
}

// bear creates the fork's control/0.
func (r Rules) bear(s *State, to *explore.Steps[State]) {
	t := *s
	t.Birth, t.Fork = Born, View{Live: s.Read.Live, Start: s.ReadStart}
	t.ForkCheckpoint, t.ForkIndex = t.Fork.Live, t.Fork.Live
	to.Fault(&t, "the fork is born")
}

// forked is the life of the fork (G8).
func (r Rules) forked(s *State, to *explore.Steps[State]) {
	step := func(add func(*State, string, ...any), what string, change func(t *State)) {
		t := *s
		if change(&t); t != *s {
			add(&t, "%s", what)
		}
	}
	if s.Birth == Born || s.Birth == Ended {
		keep := s.keep(r)
		if !r.neverUnpins {
			step(to.Step, "UNPIN in the parent", func(t *State) { t.Pins &= keep })
		}
		step(to.Step, "the fork of the fork is deleted", func(t *State) { t.Grandchild = 0 })
	}
	if s.Birth != Born {
		return
	}
	if s.Starts && s.Fork.Start < starts {
		step(to.Fault, "a log start counts in the fork", func(t *State) { t.Fork.Start++ })
	}
	if s.Exists&outputF == 0 && s.Fork.Live&outputF == 0 {
		step(to.Fault, "the fork's compactor puts its output", func(t *State) { t.Exists |= outputF })
	} else if s.Fork.Live&^outputF != 0 && s.Swept&outputF == 0 {
		step(to.Step, "MANIFEST in the fork", func(t *State) { t.Fork.Live = outputF })
	}
	for i := range names {
		if o := Set(1) << i; s.Fork.Live&o != 0 && dead(s.covers(o), s.Fork.Start) {
			step(to.Step, "MANIFEST without output in the fork, of "+names[i], func(t *State) { t.Fork.Live &^= o })
		}
	}
	step(to.Step, "a checkpoint counts in the fork", func(t *State) { t.ForkCheckpoint = t.Fork.Live })
	step(to.Step, "the fork's index follows", func(t *State) { t.ForkIndex = t.Fork.Live })
	if !s.HadGrandchild {
		step(to.Fault, "the fork is forked", func(t *State) { t.Grandchild, t.HadGrandchild = t.Fork.Live, true })
	}
	step(to.Fault, "the fork is deleted", func(t *State) {
		t.Birth, t.Fork, t.ForkCheckpoint, t.ForkIndex = Ended, View{}, 0, 0
		if r.noEnd {
			t.Birth = Lost // nobody can tell what it named
		}
	})
}

// keep is what UNPIN must leave: I9 in the fork.
func (s *State) keep(r Rules) Set {
	keep := s.Grandchild | s.Fork.Live | s.ForkCheckpoint | s.ForkIndex
	if r.unpinsLive {
		keep = s.Fork.Live
	}
	if r.unpinsEarly && s.Exists&outputF != 0 {
		keep = s.Grandchild
	}
	return keep
}
