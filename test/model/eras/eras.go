package eras

import "github.com/odradek/odradek/test/model/explore"

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	anyOrder       bool // P6: slots are indexed in any order
	movesBase      bool // P6: an extent that does not fit is put at the end
	unpinned       bool // P6, C1: scripts do not look at the identity that the era was opened with
	ackAboveHole   bool // P4
	ownersOnly     bool // F1: journals that own nothing any more are never sealed
	missingIsDeath bool // F1: a journal that is not in the open era is taken for dead
	otherIsAway    bool // R2: a Redis that was never named is taken for one that is away
	sideAgain      bool // R2: an ERA may name an identity again that an older one named
	leaseRunsOut   bool // R1: ERA is appended so late that the lease of an isolated agent's victims is over
	silentForever  bool // R2: a recoverer that stands still is never replaced
	ownStart       bool // R3: everybody starts at the newest checkpoint that he knows, loaded or not
	openEarly      bool // R4: opens before all have re-attached or are sealed
	openUnindexed  bool // R4: opens when all have re-attached, before they have indexed what they promised
	leavesHalf     bool // R3: nobody indexes what a journal lacks whose agent re-attached and died
	ownMemory      bool // R4: the recoverer trusts its memory of who re-attached
	forgetsShown   bool // I7: an agent does not remember the high watermark that it showed
	redisSaysRange bool // I7: OFFSET_OUT_OF_RANGE is answered from the index
}

// reads tells whether the scripts let an agent read the index: of the era that it knows as the newest, open, pinned.
func (r Rules) reads(a *Agent, m *Redis) bool {
	return a.Role < Dead && a.Link != Cut && m.Open == a.Era && (m.Pin == m.Run || r.unpinned)
}

// writes tells whether they let it index: in the open era, or in the one being built once it has re-attached or builds.
func (r Rules) writes(s *State, i uint8, m *Redis) bool {
	a := &s.Agents[i]
	if a.Role >= Dead || a.Link == Cut {
		return false
	}
	k := &m.Eras[a.Era-1]
	building := m.Open < a.Era && (k.Loaded || r.ownStart) && m.Run == s.Identity[a.Era-1] && (k.Known[i] || a.Builds)
	return building || r.reads(a, m)
}

// script is P6 for one slot. All checks come before the first write; it tells whether they passed.
func (r Rules) script(s *State, k *Keys, journal, slot uint8) bool {
	epoch := s.epochOf(journal)
	switch {
	case slot < k.Next[journal]:
		return true // repeated
	case slot > k.Next[journal] && !r.anyOrder || epoch == 0:
		return false
	case k.Applied < epoch:
		return false // behind
	}
	if slot < s.Journals[journal].records(slots) {
		at := s.Control[epoch-1].Base + slot
		if k.End != at && !r.anyOrder {
			if !r.movesBase {
				return false // conflict
			}
			at = k.End
		}
		if at >= offsets {
			return false
		}
		k.Entry[at] = ref(journal, slot)
		k.End = max(k.End, at+1)
	}
	k.Next[journal] = slot + 1
	return true
}

type step func(what string, change func(t *State, b *Agent))

func (r Rules) next(s *State, to *explore.Steps[State]) {
	for i := range uint8(agents) {
		a := &s.Agents[i]
		step := func(add func(*State, string, ...any), what string, change func(t *State, b *Agent)) {
			t := *s
			change(&t, &t.Agents[i])
			add(&t, "agent %d "+what, i)
		}
		may := func(what string, change func(t *State, b *Agent)) { step(to.Fault, what, change) }
		does := func(what string, change func(t *State, b *Agent)) {
			if a.Link != Main {
				may(what, change) // nothing is to depend on agents that do not reach Redis
				return
			}
			step(to.Step, what, change)
		}
		r.land(s, i, to)
		if a.Role == Unborn {
			may("starts: journal opened, in the newest era", func(t *State, b *Agent) { b.Role, b.Era = Idle, t.Era })
		}
		if a.Role >= Dead {
			continue
		}
		if a.Era < s.Era {
			does("reads ERA in the control log", func(t *State, b *Agent) { b.Era, b.Builds, b.Seen = t.Era, false, false })
		}
		if a.Role == Owner && a.Epoch < s.Newest {
			does("reads in the control log that it lost the partition", func(t *State, b *Agent) { b.Role = Idle })
		}
		r.index(s, i, does)
		r.takeOver(s, i, to, does)
		r.release(s, i, may)
		if a.Link != Cut && a.Era == s.Era {
			r.recover(s, i, to, does)
			r.build(s, i, to, does)
		}
		r.answer(s, i, to, may)
	}
	if s.Checkpoints > 0 {
		t := *s
		t.Checkpoints--
		_, t.Checkpoint.End = t.log()
		t.Checkpoint.Applied = t.Newest
		for j := range t.Journals {
			t.Checkpoint.Next[j] = t.Journals[j].counted()
		}
		to.Fault(&t, "a checkpoint counts, the log ends at %d", t.Checkpoint.End)
	}
	r.faults(s, to)
}

// land delivers PUTs in any order, also after the owner's death, and acks what counts whatever Redis says (P4).
func (r Rules) land(s *State, i uint8, to *explore.Steps[State]) {
	e, j := s.epochOf(i), &s.Journals[i]
	for k := uint8(0); k < slots && e > 0; k++ {
		if j.Release != 0 && k >= j.Release {
			break // P5
		}
		t := *s
		switch {
		case j.Seal == k+1:
			if s.Agents[i].Role == Owner {
				t.Agents[i].Role = Fenced
				to.Step(&t, "agent %d meets the seal and is fenced", i)
			}
		case !j.Landed[k] && s.Puts > 0:
			t.Puts--
			u := &t.Journals[i]
			u.Landed[k] = true
			for n := range u.records(slots) {
				if o := s.Control[e-1].Base + n; o < offsets && (n < u.counted() || r.ackAboveHole && n == k) {
					t.Acked[o] = ref(i, n)
				}
			}
			to.Step(&t, "slot %d/%d lands", i, k)
		}
	}
}

// index is P6: every agent tells Redis of assignments and indexes its own journal; sealed ones anybody does in an open
// era (F3), the recoverer in one that it builds (R3).
func (r Rules) index(s *State, i uint8, does step) {
	a := &s.Agents[i]
	m := s.redis(a)
	if !r.writes(s, i, m) {
		return
	}
	keys := &m.Eras[a.Era-1]
	if keys.Applied < s.Newest {
		does("applies the next assignment", func(t *State, b *Agent) { t.redis(b).Eras[b.Era-1].Applied++ })
	}
	if e := s.epochOf(i); r.ownStart && e > 0 && m.Open < a.Era && !keys.Loaded && keys.Next[i] < s.Checkpoint.Next[i] {
		does("starts behind the newest checkpoint that it knows", func(t *State, b *Agent) {
			k := &t.redis(b).Eras[b.Era-1]
			k.Next[i], k.Applied = t.Checkpoint.Next[i], t.Newest
			k.End = max(k.End, t.Control[e-1].Base+t.Journals[i].records(k.Next[i]))
		})
	}
	for j := range uint8(agents) {
		sealed := s.Journals[j].Seal != 0 && (r.reads(a, m) || a.Builds && a.Seen) && !(r.leavesHalf && keys.Known[j])
		if j != i && !sealed {
			continue
		}
		for k := keys.Next[j]; k < s.Journals[j].counted(); k++ {
			t := *keys
			if r.script(s, &t, j, k) {
				does("indexes slot "+name(k)+" of journal "+name(j), func(u *State, b *Agent) { u.redis(b).Eras[b.Era-1] = t })
			}
			if !r.anyOrder {
				break
			}
		}
	}
}

func name(n uint8) string { return string('0' + rune(n)) }

// takeOver is F1-F5. Every journal whose heartbeat stands still is sealed, also one that owns nothing any more: its slots
// must be indexed.
func (r Rules) takeOver(s *State, i uint8, to *explore.Steps[State], does step) {
	a := &s.Agents[i]
	m, e := s.redis(a), s.Newest
	owner := s.Control[e-1].Journal
	newest := a.Link != Cut && m.Run == s.Identity[a.Era-1] && a.Era == s.Era // F1: the Redis that the newest ERA names
	for v := range uint8(agents) {
		known := m.Eras[a.Era-1].Known[v]
		still := newest && known && !beats(&s.Agents[v], a)
		missing := newest && !known && m.Open == a.Era && r.missingIsDeath
		if v != i && s.Journals[v].Seal == 0 && (still || missing) && r.inTime(s, a) && (v == owner || !r.ownersOnly) {
			s.seal(v, "whose heartbeat stands still", to, does)
		}
	}
	j := &s.Journals[owner]
	released := j.Release != 0 && j.counted() >= j.Release
	if (j.Seal != 0 || released) && a.Role == Idle && s.Journals[i].Seal == 0 && e < assignments && s.epochOf(i) == 0 {
		does("is given the partition, reads so, and owns it", func(t *State, b *Agent) {
			_, end := t.log()
			t.Control[e], t.Newest = Assignment{i, end}, e+1
			b.Role, b.Epoch = Owner, e+1
		})
	}
}

// release is M1.
func (r Rules) release(s *State, i uint8, may step) {
	a, j := &s.Agents[i], &s.Journals[i]
	if a.Role != Owner || a.Epoch != s.Newest || s.Moves == 0 || j.Release != 0 {
		return
	}
	k := uint8(slots)
	for k > 0 && !j.Landed[k-1] {
		k--
	}
	if k < slots {
		may("freezes RELEASE in slot "+name(k), func(t *State, _ *Agent) {
			t.Journals[i].Release = k + 1
			t.Moves--
		})
	}
}

// recover is R1 and R2: when an agent appends ERA(g+1).
func (r Rules) recover(s *State, i uint8, to *explore.Steps[State], does step) {
	a := &s.Agents[i]
	m := s.redis(a)
	named := m.Run == s.Identity[s.Era-1]
	older := false // an older ERA named it: an isolated old master, as good as away
	for e := range s.Era - 1 {
		older = older || s.Identity[e] == m.Run
	}
	lost := !named && (!older || r.sideAgain) && !r.otherIsAway
	builder := &s.Agents[s.Builder]
	closed := named && m.Open < s.Era
	gone := closed && builder.Role < Dead && (!builder.Builds || builder.Era != s.Era) // its keys are missing
	silent := closed && !beats(builder, a) && !r.silentForever
	alarm := named && s.Faults > 0 && m.Open == s.Era && a.Link == Main // a false one, which costs a fault
	if s.Era == eras || !lost && !gone && !silent && !alarm {
		return
	}
	if lost && older {
		to.Broken("R2: a master that lost its era takes it back, and the two take turns for ever")
		return
	}
	does("appends ERA and builds it", func(t *State, b *Agent) {
		if !lost && !gone && !silent {
			t.Faults--
		}
		t.Identity[t.Era], t.From[t.Era] = m.Run, t.Checkpoint
		t.Era++
		t.Builder, b.Era, b.Builds, b.Seen = i, t.Era, true, false
		t.redis(b).Eras[t.Era-1] = Keys{}
	})
}

// build is R3 and R4.
func (r Rules) build(s *State, i uint8, to *explore.Steps[State], does step) {
	a := &s.Agents[i]
	m := s.redis(a)
	if m.Run != s.Identity[s.Era-1] || m.Open > a.Era {
		return
	}
	keys := &m.Eras[a.Era-1]
	if !keys.Known[i] && s.Journals[i].Seal == 0 {
		does("re-attaches, or registers", func(t *State, b *Agent) {
			k := &t.redis(b).Eras[b.Era-1]
			k.Known[i], k.Want[i] = true, t.Journals[i].counted()
		})
	}
	if !a.Builds || m.Open == a.Era {
		return
	}
	if !keys.Loaded {
		does("loads the checkpoint that ERA names", func(t *State, b *Agent) {
			t.load(&t.redis(b).Eras[b.Era-1], t.From[b.Era-1])
		})
		return
	}
	all, indexed := true, true
	for v := range uint8(agents) {
		j := &s.Journals[v]
		if s.Agents[v].Role == Unborn {
			continue // its JOURNAL_OPEN follows the ERA
		}
		if j.Seal != 0 {
			indexed = indexed && (s.epochOf(v) == 0 || keys.Next[v] >= j.counted() || r.leavesHalf && keys.Known[v])
			continue
		}
		half := keys.Next[v] < keys.Want[v] && !r.openUnindexed && !r.leavesHalf
		all, indexed = all && keys.Known[v], indexed && !half
		if (!keys.Known[v] || half) && !beats(&s.Agents[v], a) && r.inTime(s, a) {
			s.seal(v, "which did not re-attach, or stopped half indexed", to, does)
		}
	}
	if all && !a.Seen {
		does("finds all re-attached or sealed, and reads the sealed ones", func(t *State, b *Agent) { b.Seen = true })
	}
	if ready := a.Seen && indexed && (all || r.ownMemory); ready || r.openEarly {
		does("opens the era", func(t *State, b *Agent) {
			x := t.redis(b)
			x.Open, x.Pin, b.Builds, b.Seen = b.Era, x.Run, false, false
		})
	}
}

// load writes a checkpoint under an era; it never takes back what is there.
func (s *State) load(k *Keys, c Checkpoint) {
	log, _ := s.log()
	copy(k.Entry[:c.End], log[:c.End])
	for j := range k.Next {
		k.Next[j] = max(k.Next[j], c.Next[j])
	}
	k.End, k.Applied, k.Loaded = max(k.End, c.End), max(k.Applied, c.Applied), true
}

// seal closes a journal at its first free slot. F1 is there so that this does not happen to who is well.
func (s *State) seal(v uint8, why string, to *explore.Steps[State], does step) {
	if s.Agents[v].Role < Fenced && s.Agents[v].Link == Main {
		to.Broken("F1: the journal of an agent that lives and reaches Redis is sealed")
	}
	does("seals journal "+name(v)+", "+why, func(t *State, _ *Agent) { t.Journals[v].Seal = 1 + t.Journals[v].counted() })
}

// inTime is the oracle that agents which see a failover append ERA before the lease of an isolated one's victims is over.
func (r Rules) inTime(s *State, by *Agent) bool {
	for i := range s.Agents {
		if a := &s.Agents[i]; by.Link == Side && a.Link == Main && a.Role < Dead && !r.leaseRunsOut {
			return false
		}
	}
	return true
}

// answer notes one answer to a client, and compares all that could follow with it (I7, C1).
func (r Rules) answer(s *State, i uint8, to *explore.Steps[State], may step) {
	a := &s.Agents[i]
	m, shown := s.redis(a), s.Answer
	indexed := a.Role != Owner && r.reads(a, m)
	if shown == (Answer{}) {
		note := func(era, high uint8) {
			if high > 0 {
				may("shows a client high watermark "+name(high), func(t *State, _ *Agent) { t.Answer = Answer{i, era, high} })
			}
		}
		if indexed {
			note(a.Era, m.Eras[a.Era-1].End)
		}
		if j := &s.Journals[i]; a.Role == Owner && r.forgetsShown {
			note(0, s.Control[a.Epoch-1].Base+j.records(j.counted()))
		}
		return
	}
	if !indexed || m.Eras[a.Era-1].End >= shown.High {
		return // or a retriable error, until the index is there
	}
	switch {
	case shown.Era != 0 && r.redisSaysRange:
		to.Broken("I7: OFFSET_OUT_OF_RANGE for an offset that was shown")
	case shown.Era != 0 && a.Era == shown.Era:
		to.Broken("I7: the high watermark went back between readers of one era")
	case shown.Era != 0 && a.Era > shown.Era:
		to.Broken("I7: a newer era opened with a lower high watermark than an older one showed")
	case shown.Era == 0 && shown.Agent == i:
		to.Broken("I7: the high watermark went back on one agent")
	}
}

// faults happen to Redis, to links and to agents, a bounded number of times.
func (r Rules) faults(s *State, to *explore.Steps[State]) {
	for i := range uint8(agents) {
		if a := &s.Agents[i]; a.Link != Main && a.Role < Dead {
			t := *s
			t.Agents[i].Link = Main
			to.Fault(&t, "agent %d reaches the main Redis again", i)
		}
	}
	if s.Faults == 0 {
		return
	}
	if s.Replica != s.Main {
		t := *s
		t.Replica = s.Main
		to.Fault(&t, "the replica catches up")
	}
	fault := func(what string, change func(t *State)) {
		t := *s
		t.Faults--
		change(&t)
		to.Fault(&t, "%s", what)
	}
	back := func(t *State) { // a failover to the replica
		t.Runs++
		t.Main = t.Replica
		t.Main.Run = t.Runs
	}
	fault("Redis is flushed, its identity stays", func(t *State) { t.Main = Redis{Run: t.Main.Run} })
	fault("Redis goes back to an earlier state, under a new identity", back)
	for i := range uint8(agents) {
		a := &s.Agents[i]
		if a.Role >= Dead {
			continue
		}
		fault("agent "+name(i)+" dies", func(t *State) { t.Agents[i].Role = Dead })
		if a.Link == Main {
			fault("agent "+name(i)+" is cut from Redis", func(t *State) { t.Agents[i].Link = Cut })
			fault("failover; the old master keeps agent "+name(i), func(t *State) {
				t.Side, t.Agents[i].Link = t.Main, Side
				back(t)
			})
		}
	}
}
