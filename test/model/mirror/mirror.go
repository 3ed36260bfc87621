package mirror

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

const (
	journals = 3
	readers  = 2 // reader i is the agent of journal i
	slots    = 3 // of a journal
	offsets  = 4
	epochs   = 3
	window   = 2 // K
)

// Ref names a record: 1 + journal*slots + slot. Zero is none.
type Ref uint8

// Journal is one in the bucket.
type Journal struct {
	Offset [slots]uint8 // of the record in each slot
	Epoch  [slots]uint8
	Frozen uint8
	Landed [slots]bool
	Seal   uint8 // 1 + its slot; 0 = none
}

// Redis is the copy of the index.
type Redis struct {
	Era    uint8
	Open   bool
	Away   bool
	Cursor [journals]uint8 // next slot to index
	End    uint8           // the index holds the log below it
}

// Reader is an agent's memory.
type Reader struct {
	Cursor [journals]uint8
	Has    [offsets]Ref   // extents, those behind a gap too
	Asked  bool           // a client waits for an answer
	Fresh  [journals]bool // read from Redis since the client asked
	Limit  uint8          // the end in Redis as it was last read
	Floor  uint8          // highest that any client had been shown when this one asked
}

// Assignment is one epoch of the partition.
type Assignment struct{ Journal, Base uint8 }

// State is all there is.
type State struct {
	Journals [journals]Journal
	Sealed   [journals]bool // control state
	Control  [epochs]Assignment
	Newest   uint8
	Next     uint8 // offset that the owner assigns
	Redis    Redis
	Readers  [readers]Reader
	Shown    uint8 // highest high watermark that any client was shown
	Records  uint8 // yet to come
	Seals    uint8 // yet to come
	Faults   uint8 // yet to come
	Answers  uint8 // yet to come
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	gapsVisible  bool // what lies behind a gap is visible
	readsOpen    bool // an open journal is read from the bucket, holes or not
	readsBeyond  bool // a sealed journal is read from the bucket beyond its seal
	unsynced     bool // a fetch is answered from memory as it stands
	joinsOlder   bool // a fetch is content with a read of Redis that began before it came
	ownLeftOut   bool // what Redis says of the agent's own journal is not read
	closedEra    bool // an era that is not open is read
	showsAhead   bool // what the open era does not hold yet is shown: from a sealed journal, or of a former owner
	cursorIsTail bool // slots are taken as they come, without a cursor per journal: what was missed stays missed
}

func (j *Journal) counted() (n uint8) {
	for n < j.Frozen && j.Landed[n] {
		n++
	}
	return n
}

func (s *State) owner() uint8 { return s.Control[s.Newest-1].Journal }

// end is where the reader's memory ends for its clients.
func (r Rules) end(m *Reader) (end uint8) {
	for end < offsets && m.Has[end] != 0 {
		end++
	}
	if r.gapsVisible {
		for o := range uint8(offsets) {
			if m.Has[o] != 0 {
				end = o + 1
			}
		}
	}
	return end
}

func (r Rules) next(s *State, to *explore.Steps[State]) {
	s.write(to)
	for j := range uint8(journals) {
		s.seal(j, to)
	}
	s.index(to)
	for i := range uint8(readers) {
		r.read(s, i, to)
		r.fetch(s, i, to)
	}
	s.fault(to)
}

// write is the owner at work; it moves the partition when all that it froze counts.
func (s *State) write(to *explore.Steps[State]) {
	owner := s.owner()
	j := &s.Journals[owner]
	if s.Records > 0 && j.Frozen < slots && s.Next < offsets && j.Frozen-j.counted() < window && j.Seal == 0 {
		t := *s
		u := &t.Journals[owner]
		u.Offset[j.Frozen], u.Epoch[j.Frozen] = s.Next, s.Newest
		u.Frozen++
		t.Next++
		t.Records--
		to.Step(&t, "journal %d: slot %d is frozen with offset %d", owner, j.Frozen, s.Next)
	}
	for i := range s.Journals {
		for k := range s.Journals[i].Frozen {
			if !s.Journals[i].Landed[k] && s.Journals[i].Seal != k+1 {
				t := *s
				t.Journals[i].Landed[k] = true
				to.Step(&t, "slot %d/%d lands", i, k)
			}
		}
	}
	if j.counted() == j.Frozen && j.Seal == 0 {
		for target := range uint8(journals) {
			s.assign(target, "the partition is moved", to)
		}
	}
}

// assign begins the next epoch at s.Next.
func (s *State) assign(target uint8, why string, to *explore.Steps[State]) {
	if s.Newest == epochs || s.Sealed[target] || target == s.owner() {
		return
	}
	t := *s
	t.Control[s.Newest] = Assignment{target, s.Next}
	t.Newest++
	to.Step(&t, "%s to journal %d, epoch %d, base %d", why, target, t.Newest, s.Next)
}

// seal is a takeover of journal j: a seal above what counts, then JOURNAL_SEALED.
func (s *State) seal(j uint8, to *explore.Steps[State]) {
	x := &s.Journals[j]
	t := *s
	switch {
	case s.Sealed[j]:
	case x.Seal == 0 && s.Seals == 0:
	case x.Seal == 0:
		t.Seals--
		t.Journals[j].Seal = 1 + x.counted()
		to.Fault(&t, "journal %d is sealed at slot %d", j, x.counted())
	case s.owner() != j:
		t.Sealed[j] = true
		to.Fault(&t, "JOURNAL_SEALED of journal %d", j)
	default:
		t.Sealed[j] = true
		t.Next = s.Control[s.Newest-1].Base
		for k := range x.counted() {
			if x.Epoch[k] == s.Newest {
				t.Next = x.Offset[k] + 1
			}
		}
		for target := range uint8(journals) {
			t.assign(target, fmt.Sprintf("JOURNAL_SEALED of journal %d gives the partition", j), to)
		}
	}
}

// index is P6, and the opening of an era that holds all that counts (R4).
func (s *State) index(to *explore.Steps[State]) {
	if s.Redis.Away {
		return
	}
	all := true
	for i := range uint8(journals) {
		j, k := &s.Journals[i], s.Redis.Cursor[i]
		if k == j.counted() {
			continue
		}
		all = false
		if j.Offset[k] == s.Redis.End {
			t := *s
			t.Redis.Cursor[i]++
			t.Redis.End++
			to.Step(&t, "slot %d/%d is indexed", i, k)
		}
	}
	if all && !s.Redis.Open {
		t := *s
		t.Redis.Open = true
		to.Step(&t, "era %d opens", s.Redis.Era)
	}
}

// read brings slots into an agent's memory: its own as they count, others' from Redis or the bucket.
func (r Rules) read(s *State, i uint8, to *explore.Steps[State]) {
	for j := range uint8(journals) {
		x, from := &s.Journals[j], s.Readers[i].Cursor[j]
		if j == i && from < x.counted() {
			t := *s
			t.Readers[i].take(x, j, from)
			to.Step(&t, "reader %d: slot %d/%d, its own, counts", i, j, from)
		}
		below := uint8(0) // what the bucket may be believed up to
		switch {
		case r.readsBeyond && s.Sealed[j], r.readsOpen:
			below = x.Frozen
		case s.Sealed[j]:
			below = x.Seal - 1
		}
		for k := from; k < below; k++ {
			if t := *s; x.Landed[k] && (k == from || r.readsOpen || r.readsBeyond) {
				t.Readers[i].take(x, j, k)
				to.Step(&t, "reader %d: slot %d/%d is read from the bucket", i, j, k)
			}
		}
		if !s.Redis.Away && (s.Redis.Open || r.closedEra) {
			t := *s
			m := &t.Readers[i]
			for k := from; k < s.Redis.Cursor[j]; k++ {
				if k+1 == s.Redis.Cursor[j] || !r.cursorIsTail {
					m.take(x, j, k)
				}
			}
			m.Fresh[j], m.Limit = true, s.Redis.End
			to.Step(&t, "reader %d: journal %d is read from Redis up to slot %d", i, j, s.Redis.Cursor[j])
		}
	}
}

// take adds a slot's extent, wherever it belongs.
func (m *Reader) take(x *Journal, j, k uint8) {
	m.Has[x.Offset[k]] = Ref(1 + j*slots + k)
	m.Cursor[j] = max(m.Cursor[j], k+1)
}

// fetch is a client at an agent that is not the owner. What it is shown comes from a read of Redis that began after it
// asked, and is in the index of the open era; else it gets NOT_LEADER_OR_FOLLOWER.
func (r Rules) fetch(s *State, i uint8, to *explore.Steps[State]) {
	m := &s.Readers[i]
	if !m.Asked {
		if s.Answers > 0 {
			t := *s
			n := &t.Readers[i]
			n.Asked, n.Floor, t.Answers = true, s.Shown, s.Answers-1
			if !r.joinsOlder {
				n.Fresh, n.Limit = [journals]bool{}, 0
			}
			to.Step(&t, "a client asks reader %d, having been shown %d", i, s.Shown)
		}
		return
	}
	synced := true
	for j := range m.Fresh {
		synced = synced && (m.Fresh[j] || uint8(j) == i && r.ownLeftOut)
	}
	end := r.end(m)
	switch {
	case s.owner() == i, !synced && !r.unsynced, end > m.Limit && !r.showsAhead && !r.unsynced:
		return // not here, or not yet
	case end < m.Floor:
		to.Broken("I7: a client that goes from agent to agent sees the high watermark go back")
		return
	}
	for o := range end { // the client reads on to there
		if m.Has[o] == 0 {
			to.Broken("I5: a client is led past records that it was not given")
			return
		}
	}
	t := *s
	t.Readers[i].Asked, t.Shown = false, max(s.Shown, end)
	to.Step(&t, "reader %d shows its client high watermark %d", i, end)
}

// fault happens to Redis.
func (s *State) fault(to *explore.Steps[State]) {
	t := *s
	if s.Redis.Away {
		t.Redis.Away = false
		to.Step(&t, "Redis is back")
		return
	}
	if s.Faults == 0 {
		return
	}
	t.Faults--
	t.Redis.Away = true
	to.Fault(&t, "Redis is away")
	t.Redis = Redis{Era: s.Redis.Era + 1}
	to.Fault(&t, "Redis is flushed, era %d begins", t.Redis.Era)
}

// tidy forgets what only a waiting client makes matter.
func (r Rules) tidy(s *State) {
	for i := range s.Readers {
		if m := &s.Readers[i]; !m.Asked {
			m.Floor = 0
			if !r.joinsOlder {
				m.Fresh, m.Limit = [journals]bool{}, 0
			}
		}
	}
}

func wrong(s *State) string {
	var log [offsets]Ref
	end := uint8(0)
	for e := range s.Newest {
		if s.Control[e].Base != end {
			return "I3: an epoch does not begin where the one before it ended"
		}
		i := s.Control[e].Journal
		j := &s.Journals[i]
		for k := range j.counted() {
			if j.Epoch[k] == e+1 {
				log[j.Offset[k]] = Ref(1 + i*slots + k)
				end = j.Offset[k] + 1
			}
		}
	}
	for i := range s.Readers {
		for o, has := range s.Readers[i].Has {
			if has != 0 && has != log[o] {
				return "I6: an agent's index names what does not count"
			}
		}
	}
	return ""
}

// current tells whether both agents' memories hold all that counts.
func current(s *State) bool {
	for i := range s.Readers {
		for j := range s.Journals {
			if s.Readers[i].Cursor[j] < s.Journals[j].counted() {
				return false
			}
		}
		if (Rules{}).end(&s.Readers[i]) < s.Redis.End {
			return false
		}
	}
	return true
}
