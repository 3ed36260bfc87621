package group

import (
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
)

// Call names a request that waits for its reply. The shell draws them; 0 is none.
type Call uint64

// Reply is the answer to a call.
type Reply struct {
	Call Call
	Body any // JoinReply, SyncReply ... : the type that belongs to the request
	// Prove: the answer rests on memory and must not be given before the owner's proof (O1).
	Prove bool
}

// Decision is what a step of the machine asks its shell to do: append the records, give the replies, set the timers.
// The replies here do not depend on the records here; those that do come from Counted.
type Decision struct {
	Replies []Reply
	Records []offsetsrecord.Record
	Seq     uint64 // names Records; 0 when there are none
	Timers  []TimerChange
}

// TimerKind says what a timer is for.
type TimerKind uint8

// The kinds of timers.
const (
	TimerSession   TimerKind = iota // a member's session, or the wait for a pending or new member
	TimerJoin                       // the join phase of a rebalance
	TimerSync                       // the wait for every member's SyncGroup
	TimerRetention                  // the next look for offsets that are kept no longer
)

// Timer names a timer. Member is set for TimerSession, Group for all but TimerRetention.
type Timer struct {
	Kind          TimerKind
	Group, Member string
}

// TimerChange arms a timer, again if it runs, or cancels it.
type TimerChange struct {
	Timer  Timer
	After  time.Duration
	Cancel bool
}

// Machine is the state of all groups of one partition of the offsets topic. It is pure: a method takes a request or an
// event and the time, changes the state and returns what is to be done. It does no I/O and reads no clock. Not for
// concurrent use.
//
// What a method changes is *admitted*; Counted tells the machine that records count. Members and generations are
// admitted state, because a client that hears of them must still pass SyncGroup, whose answer waits for the record.
// Committed offsets are read from what counts only.
type Machine struct {
	cfg     Config
	groups  map[string]*group
	offsets map[string]*offsetTable // by group
	waiting []uncounted             // records handed out and not counted yet, oldest first
	seq     uint64                  // of the newest records handed out
	now     time.Time               // of the step under way
	out     Decision                // of the step under way
	then    *uncounted              // what the records of the step under way bring about
}

// uncounted is what happens when the records of one step count.
type uncounted struct {
	seq     uint64
	records []offsetsrecord.Record
	replies []Reply       // to give
	synced  []generation  // groups whose assignment was written
	static  []staticReply // static members whose new member id was written
}

// generation names one generation of a group.
type generation struct {
	group  *group
	number int32
}

// NewMachine makes a machine without groups.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg, groups: map[string]*group{}, offsets: map[string]*offsetTable{}}
}

// begin starts a step.
func (m *Machine) begin(now time.Time) {
	m.now, m.out, m.then = now, Decision{}, nil
}

// end finishes a step: its records get the next number.
func (m *Machine) end() Decision {
	if then := m.then; then != nil {
		m.out.Seq, m.out.Records = then.seq, then.records
		m.waiting = append(m.waiting, *then)
	}
	out := m.out
	m.out, m.then = Decision{}, nil
	return out
}

// uncounted gives the place for records of this step and for what follows when they count.
func (m *Machine) uncounted() *uncounted {
	if m.then == nil {
		m.seq++
		m.then = &uncounted{seq: m.seq}
	}
	return m.then
}

func (m *Machine) record(r offsetsrecord.Record) {
	u := m.uncounted()
	u.records = append(u.records, r)
}

// recordGroup writes the group down, with the assignments its members have.
func (m *Machine) recordGroup(g *group) {
	g.recorded = true
	m.record(g.metadata(m.now))
}

// reply answers a call now. Answers that make a client act are to be proved.
func (m *Machine) reply(call Call, body any) {
	m.out.Replies = append(m.out.Replies, Reply{Call: call, Body: body, Prove: true})
}

// replyUnproved answers a call at once: on its word the client only comes again.
func (m *Machine) replyUnproved(call Call, body any) {
	m.out.Replies = append(m.out.Replies, Reply{Call: call, Body: body})
}

// replyWhenCounted answers a call when the records of this step count, or at once, proved, when there are none.
func (m *Machine) replyWhenCounted(call Call, body any) {
	if m.then == nil {
		m.reply(call, body)
		return
	}
	m.then.replies = append(m.then.replies, Reply{Call: call, Body: body})
}

func (m *Machine) arm(t Timer, after time.Duration) {
	m.out.Timers = append(m.out.Timers, TimerChange{Timer: t, After: after})
}

func (m *Machine) cancel(t Timer) {
	m.out.Timers = append(m.out.Timers, TimerChange{Timer: t, Cancel: true})
}

// Counted tells that the records with this number count, and all before them. Numbers come in order.
func (m *Machine) Counted(now time.Time, seq uint64) Decision {
	m.begin(now)
	for len(m.waiting) > 0 && m.waiting[0].seq <= seq {
		u := m.waiting[0]
		m.waiting[0] = uncounted{}
		m.waiting = m.waiting[1:]
		for i := range u.records {
			if c := u.records[i].Commit; c != nil {
				m.countOffset(c, u.seq)
			}
		}
		for _, g := range u.synced {
			m.assignmentCounted(g)
		}
		for _, s := range u.static {
			m.staticCounted(s)
		}
		m.out.Replies = append(m.out.Replies, u.replies...)
	}
	return m.end()
}

// Fire tells that a timer ran out. A timer that was cancelled or armed again must not fire for its earlier time.
func (m *Machine) Fire(now time.Time, t Timer) Decision {
	m.begin(now)
	if t.Kind == TimerRetention {
		m.expireOffsets()
		m.arm(Timer{Kind: TimerRetention}, m.cfg.RetentionCheck)
		return m.end()
	}
	g := m.groups[t.Group]
	if g == nil {
		return m.end()
	}
	switch t.Kind {
	case TimerSession:
		m.sessionExpired(g, t.Member)
	case TimerJoin:
		m.joinPhaseExpired(g)
	case TimerSync:
		m.syncPhaseExpired(g)
	}
	return m.end()
}
