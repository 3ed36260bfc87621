package metadata

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/odradek/odradek/topic"
)

// What the methods of all roles may return, wrapped.
var (
	// ErrEra says that the pinned era is not the one this store holds: another era is open, the identity is not the
	// pinned one, or the keys are gone. Nothing was changed or read. It starts a recovery (R1).
	ErrEra = errors.New("another era")
	// ErrNotLoaded says that the pinned era is being built and its checkpoint is not loaded yet. Try again later.
	ErrNotLoaded = errors.New("era not loaded yet")
	// ErrNotOpen says that the pinned era is still being built, so that it cannot be read. Try again later.
	ErrNotOpen = errors.New("era not open yet")
	// ErrNotReady says that an era may not be opened yet; the text names what is missing (R4).
	ErrNotReady = errors.New("era not complete")
	// ErrOutOfTurn says that a control record was not applied because it is not the next one.
	ErrOutOfTurn = errors.New("control record out of turn")
	// ErrUnreadable says that the store holds an entry of the index which this build cannot read: damaged, or of a version that
	// it does not know. Another era is due (R1).
	ErrUnreadable = errors.New("unreadable entry of the index")
	// ErrNotRegistered says that a journal that would beat was never registered in this era, or was removed.
	ErrNotRegistered = errors.New("journal not registered")
	// ErrUnavailable says that the store cannot be reached or refuses work for now. Whether the call took effect
	// is unknown; repeat it.
	ErrUnavailable = errors.New("metadata store unavailable")
)

// Pin names one era and the store it is for, as an ERA record of the control log does. The zero Pin fits nothing.
type Pin struct {
	Era           uint64 // from 1
	RunID         string // one process of the store
	ReplicationID string // one history of its contents
}

// Store is all roles at once, for whoever opens a store and hands its roles out. All methods of all roles are safe for
// concurrent use and block for one round trip unless they say otherwise.
type Store interface {
	Index
	Eras
	Builder
	Heartbeats
	Doorbell
	Copies
	io.Closer
}

// Timed is a store with a clock of its own. It is a hint for what goes by time, such as retention (G3).
type Timed interface {
	// Time gives the time by the store's clock. Errors: ErrUnavailable.
	Time(ctx context.Context) (time.Time, error)
}

// ErrNoTime says that a store has no clock but that of this process.
var ErrNoTime = errors.New("metadata store has no clock of its own")

// Time asks a store for its time; ErrNoTime if it tells none.
func Time(ctx context.Context, s Store) (time.Time, error) {
	if t, ok := s.(Timed); ok {
		return t.Time(ctx)
	}
	return time.Time{}, ErrNoTime
}

// Index is the copy of the index: which slots of which journals count and what they hold.
type Index interface {
	// Index makes segments visible to every agent, each by one atomic step that checks everything before it writes
	// (P6). The segments are of one journal, in slot order; control is the number of the last control record that the
	// caller has applied. The outcomes are those of the segments in order, up to the first that is neither
	// Indexed nor Repeated: that one and all behind it changed nothing. After an error the caller
	// does not know how far it came and repeats the call. Rings the doorbell.
	Index(ctx context.Context, pin Pin, control topic.Slot, segments []Segment) ([]Outcome, error)
	// Segments reads the open era at one moment: for each cursor up to limit segments from its slot on, cursor after
	// cursor, in slot order. It returns fewer than limit only where there are no more. Slots below those that the
	// era was loaded with, and those that were dropped, are not there: the first segment of a journal may have a higher
	// slot than asked for. Of a journal that was indexed in this era there is always the newest one.
	Segments(ctx context.Context, pin Pin, from []Cursor, limit int) ([]Segment, error)
	// Ends returns log start and log end of partitions in the open era, in the order asked.
	Ends(ctx context.Context, pin Pin, partitions []topic.Partition) ([]End, error)
	// Apply tells the index what control records mean for it: effects[i] are those of number first+i, most often
	// none. It takes effect whole, and only if the number last applied is first-1; else it
	// changes nothing and returns that number with ErrOutOfTurn, or with nil if all of it was applied before. Where
	// SegmentsDropped is among the effects it blocks for more round trips, each of which gives a bounded amount of memory
	// back; what an error keeps it from giving back goes with a later SegmentsDropped of the same journal.
	Apply(ctx context.Context, pin Pin, first topic.Slot, effects [][]Effect) (applied topic.Slot, err error)
	// Applied returns the number of the last control record applied in the era, which may be one being built.
	Applied(ctx context.Context, pin Pin) (topic.Slot, error)
}

// Eras tells which eras there are and lets a journal into the one being built.
type Eras interface {
	// Identity returns the identity of the store that answers now, for an ERA record to name.
	Identity(ctx context.Context) (runID, replicationID string, err error)
	// Current returns what the store holds of one era, and which era is open. It checks no pin.
	Current(ctx context.Context, era uint64) (EraStatus, error)
	// Reattach lets a journal into an era that is being built: it has given up every older era for good and indexes
	// its slots here from now on. counted is one above the highest slot of the journal that counts (D+1). Works
	// before Begin. In an era that is open already it changes nothing.
	Reattach(ctx context.Context, pin Pin, journal topic.JournalID, counted topic.Slot) error
}

// Builder is what the winner of an ERA record does with it (R3, R4), in the order of the methods.
type Builder interface {
	// Begin makes room for the era. It returns ErrEra if the store's identity is not the pinned one or this era or a
	// higher one is open already.
	Begin(ctx context.Context, pin Pin) error
	// Load writes a part of the checkpoint: effects that lead to it, in any order, in as many calls as
	// convenient. After Loaded it changes nothing.
	Load(ctx context.Context, pin Pin, effects []Effect) error
	// Loaded says that the checkpoint is loaded whole and stands at control number applied: from now on journals
	// that re-attached may be indexed and control records applied.
	Loaded(ctx context.Context, pin Pin, applied topic.Slot) error
	// Progress counts work done by the recoverer, for others to watch. It moves EraStatus.Progress by one.
	Progress(ctx context.Context, pin Pin) error
	// Open opens the era to readers, and closes every older one, in one atomic step and only if by what the store
	// itself holds it is loaded, stands at control or above, every open journal has re-attached and is indexed up to
	// what it then named, every sealed one is indexed to its seal, and no higher era is open. expected are all
	// journals of the control state at that number. Else ErrNotReady. Opening an open era is ok.
	Open(ctx context.Context, pin Pin, control topic.Slot, expected []Expected) error
	// Sweep deletes up to limit keys of eras below the open one and reports whether there are more.
	Sweep(ctx context.Context, pin Pin, limit int) (more bool, err error)
}

// Heartbeats are counters that say when to try a takeover, and prove nothing (F1). They work in the open era and in one
// being built.
type Heartbeats interface {
	// Register starts a journal's counter at 0, or leaves it where it is. info is for people.
	Register(ctx context.Context, pin Pin, journal topic.JournalID, info string) error
	// Beat moves the counter by one. ErrNotRegistered if there is none. Not idempotent, and need not be.
	Beat(ctx context.Context, pin Pin, journal topic.JournalID) error
	// Counters returns the counters of all journals registered.
	Counters(ctx context.Context, pin Pin) (map[topic.JournalID]uint64, error)
	// Remove ends the counters of journals that were sealed.
	Remove(ctx context.Context, pin Pin, journals []topic.JournalID) error
}

// Doorbell wakes those who wait. It carries no truth and no era: a ring may be lost or come for nothing.
type Doorbell interface {
	// Ring says that there is something new of these kinds.
	Ring(ctx context.Context, kinds Kinds) error
	// Listen calls heard, from the calling goroutine, for every ring, until ctx ends, and returns ctx's error. While
	// the store is away it tries again by itself; each time it hears again it calls heard(AllKinds), since rings may
	// have been missed. heard must not block.
	Listen(ctx context.Context, heard func(Kinds)) error
}

// Copies are the live copies of what the internal partitions hold, each with the offset it was applied to (T1).
type Copies interface {
	// Put stores copies; one whose position is lower than that of the copy there changes nothing. A whole call is not
	// atomic, each copy is.
	Put(ctx context.Context, pin Pin, copies []Copy) error
	// Get returns the copies there are under the keys, in the order asked, those missing left out.
	Get(ctx context.Context, pin Pin, kind CopyKind, partition topic.Partition, keys []string) ([]Copy, error)
	// All returns all copies of one kind and partition, in key order.
	All(ctx context.Context, pin Pin, kind CopyKind, partition topic.Partition) ([]Copy, error)
	// Drop deletes all copies of one kind and partition.
	Drop(ctx context.Context, pin Pin, kind CopyKind, partition topic.Partition) error
}
