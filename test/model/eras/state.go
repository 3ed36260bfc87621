package eras

const (
	agents      = 3
	slots       = 2 // of a journal
	offsets     = 4
	assignments = 3
	eras        = 3
)

// Ref names a slot, and so its record: 1 + journal*slots + slot. Zero is none.
type Ref uint8

func ref(journal, slot uint8) Ref { return Ref(1 + journal*slots + slot) }

// Keys is what Redis holds of one era.
type Keys struct {
	Loaded  bool          // the checkpoint that ERA names
	Known   [agents]bool  // journals that registered or re-attached
	Want    [agents]uint8 // slots of a journal that counted when it re-attached
	Next    [agents]uint8 // slot to index
	Applied uint8         // assignments that it was told of
	End     uint8
	Entry   [offsets]Ref
}

// Checkpoint says how far it read each journal, and what that gave.
type Checkpoint struct {
	Next         [agents]uint8
	End, Applied uint8
}

// Redis is one master.
type Redis struct {
	Run, Pin uint8 // identity; the one that the script wrote that opened the era
	Open     uint8 // highest era opened
	Eras     [eras]Keys
}

// Link is the Redis that an agent reaches.
type Link uint8

const (
	Main Link = iota
	Side      // an isolated old master
	Cut       // none
)

// Role is what an agent is about.
type Role uint8

const (
	Idle Role = iota
	Owner
	Fenced
	Dead
	Unborn
)

// Agent is what one agent knows.
type Agent struct {
	Role   Role
	Link   Link
	Era    uint8 // newest that it has read in the control log
	Epoch  uint8 // of its assignment; 0 = none
	Builds bool  // it is the recoverer
	Seen   bool  // recoverer: it has found all re-attached or sealed, and read the sealed ones
}

// Journal is one in the bucket.
type Journal struct {
	Landed  [slots]bool
	Release uint8 // 1 + its slot; 0 = none
	Seal    uint8 // 1 + its slot; 0 = none
}

// Assignment is one epoch of the partition.
type Assignment struct{ Journal, Base uint8 }

// Answer is one that a client was given: by whom, from which era (0: by the owner, from what counts), which high
// watermark.
type Answer struct{ Agent, Era, High uint8 }

// nobody answers in a run without a client.
const nobody = agents

// State is all there is.
type State struct {
	Journals [agents]Journal
	Control  [assignments]Assignment
	Newest   uint8            // epoch
	Era      uint8            // newest ERA
	Identity [eras]uint8      // named by each ERA
	From     [eras]Checkpoint // named by each ERA
	Builder  uint8            // who appended the newest ERA

	Main, Side, Replica Redis
	Runs                uint8 // identities given so far
	Agents              [agents]Agent
	Checkpoint          Checkpoint // the newest

	Faults, Moves, Checkpoints uint8 // yet to come

	Puts uint8 // that may yet land

	Acked  [offsets]Ref
	Answer Answer
}

func (s *State) redis(a *Agent) *Redis {
	if a.Link == Side {
		return &s.Side
	}
	return &s.Main
}

// counted tells how many slots of a journal count (I2).
func (j *Journal) counted() (n uint8) {
	for n < slots && j.Landed[n] {
		n++
	}
	return n
}

// records tells how many of the first n slots are records.
func (j *Journal) records(n uint8) uint8 {
	if j.Release != 0 {
		return min(n, j.Release-1)
	}
	return n
}

// log is the partition as the bucket alone tells it.
func (s *State) log() (log [offsets]Ref, end uint8) {
	for e := range s.Newest {
		j := s.Control[e].Journal
		for k := uint8(0); k < s.Journals[j].records(s.Journals[j].counted()) && end < offsets; k++ {
			log[end] = ref(j, k)
			end++
		}
	}
	return log, end
}

// epochOf is the epoch at which a journal owns the partition, or owned it; 0 if never.
func (s *State) epochOf(j uint8) uint8 {
	for e := range s.Newest {
		if s.Control[e].Journal == j {
			return e + 1
		}
	}
	return 0
}

// beats tells whether an agent's heartbeats arrive where the observer looks. It stands for time.
func beats(a, observer *Agent) bool { return a.Role < Dead && a.Link == observer.Link && a.Link != Cut }

// tidy forgets what can matter no more.
func tidy(s *State) {
	side := false
	for i := range s.Agents {
		a := &s.Agents[i]
		if a.Role == Dead {
			*a = Agent{Role: Dead}
		}
		side = side || a.Link == Side
	}
	if !side {
		s.Side = Redis{}
	}
	if s.Faults == 0 {
		s.Replica = Redis{}
	}
	for _, m := range []*Redis{&s.Main, &s.Side, &s.Replica} {
		for e := uint8(1); e < m.Open; e++ {
			m.Eras[e-1] = Keys{} // a lower era is never opened again
		}
	}
}

func wrong(s *State) string {
	log, _ := s.log()
	for o, r := range s.Acked {
		if r != 0 && r != log[o] {
			return "I4: an acked record does not count"
		}
	}
	for _, m := range []*Redis{&s.Main, &s.Side} {
		if m.Open == 0 {
			continue
		}
		k := &m.Eras[m.Open-1]
		for o := range k.End {
			if k.Entry[o] != log[o] {
				return "I6: the open index names what does not count, or lacks a record below its end"
			}
		}
	}
	return ""
}

// whole tells whether all that counts can be read through the newest era's index. Nothing is asked where the model has no
// further era, or where nobody is left who could help.
func whole(s *State) bool {
	helper := false
	for i := range s.Agents {
		helper = helper || s.Agents[i].Role < Dead && s.Agents[i].Link == Main
	}
	_, end := s.log()
	m := &s.Main
	return !helper || s.Era == eras || m.Pin == m.Run && m.Open == s.Era && m.Eras[m.Open-1].End == end
}
