package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// What this package's methods answer beside the errors of the floors below.
var (
	// ErrForeign says that the bucket holds something that is no cluster of ours; nothing was written.
	ErrForeign = errors.New("bucket holds keys but no control/0")
	// ErrVoid says that a control record was overtaken by another one and means nothing.
	ErrVoid = errors.New("control record void")
	// ErrUndecided says that the journal may be open or not: the next boot finds out.
	ErrUndecided = errors.New("unknown whether the journal was opened")
	// ErrNodeID says that another open journal has the node id that was asked for.
	ErrNodeID = errors.New("node id is in use")
	// ErrNobody says that no other open journal can take partitions over; nothing was changed in the control log.
	ErrNobody = errors.New("no other open journal")
	// ErrUnknownJournal says that no journal of that id was ever opened.
	ErrUnknownJournal = errors.New("unknown journal")
	// ErrContradiction says that what counts does not fit the index in memory: one of the two is not what it was (I5, I6).
	// Whoever meets it begins anew, with what the bucket says.
	ErrContradiction = errors.New("log contradicts the index in memory")
	// ErrTrimmed says that slots would have to be read that were trimmed, so that their objects may be gone: whoever follows a
	// journal fell far behind, or no checkpoint can be read that holds them. Who begins anew knows what they held.
	ErrTrimmed = errors.New("slots were trimmed")
	// ErrForgotten says that control numbers were deleted that would have to be read (G4): whoever was away for so long begins
	// from a newer checkpoint, and without one that can be read nobody knows what they said.
	ErrForgotten = errors.New("control numbers were deleted that no checkpoint stands for")
	// ErrUnreadable says that a newer build wrote records that this one does not know.
	ErrUnreadable = control.ErrUnknownRecord
	// ErrTopicExists, ErrUnknownTopic and ErrCollision are about the names of topics.
	ErrTopicExists  = errors.New("topic exists")
	ErrUnknownTopic = errors.New("unknown topic")
	ErrCollision    = errors.New("topic name collides with another one in '.' and '_'")
)

// defaultLease is how long a heartbeat stands still before a takeover is tried, if nobody says.
const defaultLease = 5 * time.Second

// Config says who this agent is.
type Config struct {
	NodeID    int32              // 0: given by the control log
	Endpoints []control.Endpoint // where clients reach it
	Zone      string
	Weight    int                    // share of partitions in proportion to others'
	Window    int                    // K
	Build     string                 // for people
	Alone     bool                   // no other agent can be there: every open journal is a predecessor
	Lease     time.Duration          // of heartbeats (F1); 0: 5 s
	Stuck     func() time.Duration   // for how long nothing of this agent's journal landed that is in flight; nil: never
	Base      control.BaseCheckpoint // of a fork: where its log may be read from as long as it has no checkpoint of its own
	Unfit     func()                 // told of each checkpoint that could not be used; may be nil
	Events    Events                 // told of what happens; any of it may be nil
}

// Events are told of what an operator wants to count. None may block.
type Events struct {
	Dead      func() // a heartbeat stood still for a lease, and a takeover begins
	TakenOver func() // a dead agent's journal was taken over by this one
}

// tell calls what there is.
func tell(event func()) {
	if event != nil {
		event()
	}
}

// Observer is told of every control number, in order, right after State gives what it made. It must not block, nor
// propose.
type Observer interface {
	Applied(before, after *control.State, records []control.Record, outcomes []control.Outcome)
}

// Log is the index in memory, of all partitions. It is told of every segment that counts: those of one journal in slot
// order, those of several in any order; what it has already it passes over. What lies behind a gap it keeps to itself, and
// a log start that lies behind the end it raises as far as the end allows.
type Log interface {
	Add(journal topic.JournalID, slot segment.SlotExtents) error
	// Bounds gives a partition's log start and where what is visible of it ends; both are 0 when nothing was written.
	Bounds(p topic.Partition) (start, end topic.Offset)
	// Extents lists those of slots that hold offsets of [from, to), as far as they are visible, in offset order.
	Extents(p topic.Partition, from, to topic.Offset) []index.Entry
	// Restore begins a partition with what a checkpoint holds of it: its log start, and entries that follow one another
	// from there on. What is known already is passed over.
	Restore(p topic.Partition, start topic.Offset, entries []index.Entry) error
	// SetRuns says what of a partition lies in compacted objects: its log begins at start at least, and runs, which are
	// shared and do not change, hold all of it up to end. They take the place of the slots' extents below end.
	SetRuns(p topic.Partition, start, end topic.Offset, runs []topic.Run)
}

// Engine is one agent's picture of the cluster. All methods may be called concurrently unless they say otherwise.
type Engine struct {
	cfg   Config
	store objectstore.Store
	meta  metadata.Store

	state    atomic.Pointer[control.State]
	observer atomic.Pointer[Observer]
	journal  topic.JournalID // set by Boot
	log      Log             // set by Boot
	mirror   mirror
	past     past
	reader   reader

	turn chan struct{}   // capacity 1: held by the one who proposes or applies control numbers
	life context.Context // of proposals, which outlive those who wait for them
	end  context.CancelFunc

	effects effectLog
	index   indexQueue
	kick    chan struct{} // wakes Index; capacity 1
	bell    chan struct{} // wakes Follow; capacity 1
	indexed atomic.Uint64 // every slot of this agent's journal below is in the index
	era     atomic.Uint64 // pinned era, 0 while there is none
	eras    eras          // what Index remembers of eras; Index only
	beating beating       // what Index and the heartbeat tell each other
	unwell  atomic.Bool   // there is no index for now: the control log is read more often (R1)

	out     absentees              // who is given nothing: not known to live
	reached atomic.Pointer[moment] // when the end of the control log was read last (O3)
	leaving atomic.Bool            // this agent sealed its journal itself
	broken  atomic.Pointer[error]  // why this agent must not go on
	unfit   atomic.Uint64          // an era whose index copy cannot be used: it is not what the bucket holds, or cannot be read
}

// New makes an engine that knows nothing yet. Stop ends it.
func New(cfg Config, store objectstore.Store, meta metadata.Store) *Engine {
	if cfg.Lease <= 0 {
		cfg.Lease = defaultLease
	}
	e := &Engine{cfg: cfg, store: store, meta: meta, turn: make(chan struct{}, 1), kick: make(chan struct{}, 1), bell: make(chan struct{}, 1)}
	e.log = nowhere{}
	e.mirror.init()
	e.past.init()
	e.reader.init()
	e.life, e.end = context.WithCancel(context.Background())
	e.state.Store(control.New())
	e.reached.Store(&moment{time.Now(), boottime()})
	return e
}

// State is the newest control state applied here. It does not change.
func (e *Engine) State() *control.State { return e.state.Load() }

// Journal is the journal that this agent opened.
func (e *Engine) Journal() topic.JournalID { return e.journal }

// NodeID is this agent's node id.
func (e *Engine) NodeID() int32 {
	if j, ok := e.State().Journal(e.journal); ok {
		return j.NodeID
	}
	return -1
}

// Behind gives how many slots count and are not in the index yet.
func (e *Engine) Behind() int64 { return max(0, int64(e.index.counted())-int64(e.indexed.Load())) }

// Era gives the pinned era, or 0 while there is none.
func (e *Engine) Era() uint64 { return e.era.Load() }

// Observe sets who is told of control records from now on.
func (e *Engine) Observe(o Observer) { e.observer.Store(&o) }

func (e *Engine) wake() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// nowhere is the Log of an engine that did not boot: a command that looks at the cluster, or takes a journal over.
type nowhere struct{}

func (nowhere) Add(topic.JournalID, segment.SlotExtents) error                    { return nil }
func (nowhere) Bounds(topic.Partition) (start, end topic.Offset)                  { return 0, 0 }
func (nowhere) Extents(topic.Partition, topic.Offset, topic.Offset) []index.Entry { return nil }
func (nowhere) Restore(topic.Partition, topic.Offset, []index.Entry) error        { return nil }
func (nowhere) SetRuns(topic.Partition, topic.Offset, topic.Offset, []topic.Run)  {}
