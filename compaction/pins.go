package compaction

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// Forks is how a cluster sees those that began from it.
type Forks interface {
	// Look reads a fork's control log to its end.
	Look(ctx context.Context, fork *control.Pin) (ForkLook, error)
	// Bury sees to it that a fork can never be born (G7). never is false if it was born first.
	Bury(ctx context.Context, fork *control.Pin) (never bool, err error)
}

// ForkLook is what Look found.
type ForkLook struct {
	Never bool              // something else lives at its place, or it was buried: it can never be born
	Store objectstore.Store // of the fork, with what it has of its ancestors; nil if it was not born yet
	State *control.State
}

// holding is what one snapshot or fork keeps from being deleted: everything that an agent needs which starts at its moment (I9).
type holding struct {
	pin     *control.Pin
	moment  *control.State
	states  []*control.State // the moment's, and those of its verified checkpoints
	keys    map[string]bool  // objects of these checkpoints
	journal map[topic.JournalID]topic.Slot
}

// hold reads what a pin keeps. s is not changed while it is used: the moment lies in the past.
func hold(ctx context.Context, store objectstore.Store, pin *control.Pin) (*holding, error) {
	var base *checkpoint.Head
	if b := pin.Moment.Base; !b.ID.IsZero() {
		var err error
		if base, err = checkpoint.ReadHead(ctx, store, b.Control, b.ID); err != nil {
			return nil, err
		}
	}
	moment, err := stateAt(ctx, store, base, pin.Moment.Number)
	if err != nil {
		return nil, err
	}
	h := &holding{pin: pin, moment: moment, states: []*control.State{moment}, keys: make(map[string]bool)}
	for _, info := range moment.Checkpoints() {
		if !info.Verified {
			continue
		}
		head, err := checkpoint.ReadHead(ctx, store, info.Control, info.ID)
		if err != nil {
			return nil, fmt.Errorf("checkpoint at %d: %w", info.Control, err)
		}
		s, err := head.Restore()
		if err != nil {
			return nil, fmt.Errorf("checkpoint at %d: %w", info.Control, err)
		}
		h.states = append(h.states, s)
		h.keys[head.Name().Key()] = true
		for _, p := range head.Parts {
			h.keys[p.Key()], h.keys[p.Twin()] = true, true
		}
	}
	h.journal = make(map[topic.JournalID]topic.Slot)
	for j := range moment.Journals() {
		h.journal[j.ID] = kept{now: moment, states: h.states}.trim(j)
	}
	return h, nil
}

// slots gives which slots of a journal are held; none if from is not below to.
func (h *holding) slots(j topic.JournalID) (from, to topic.Slot) {
	known, ok := h.moment.Journal(j)
	if !ok {
		return 0, 0
	}
	if to, ok = h.pin.Moment.Next(j); !ok {
		to = known.SealSlot + 1
	}
	return max(h.journal[j], h.pin.Unpinned(j)), to
}

// object says whether a compacted object is held.
func (h *holding) object(o topic.Object) bool {
	return !h.pin.ObjectUnpinned(o) && slices.ContainsFunc(h.states, func(s *control.State) bool { _, ok := s.Object(o); return ok })
}

// pins is all that snapshots and forks hold. The zero value holds nothing.
type pins []*holding

// pinsOf reads what the pins of a state hold. What was read before is taken from known, by id.
func pinsOf(ctx context.Context, store objectstore.Store, s *control.State, known map[control.PinID]*holding) (pins, error) {
	var all pins
	for pin := range s.Pins() {
		h, ok := known[pin.ID]
		if !ok {
			var err error
			if h, err = hold(ctx, store, pin); err != nil {
				return nil, fmt.Errorf("what %s holds: %w", pinName(pin), err)
			}
		}
		again := *h // of the same moment for ever; what of it was given up is the newest pin's to say
		again.pin = pin
		all = append(all, &again)
	}
	return all, nil
}

func pinName(p *control.Pin) string {
	if p.IsFork() {
		return "the fork at " + p.Place
	}
	return fmt.Sprintf("snapshot %q", p.Name)
}

// slot, object and key say by which pin something is held, nil if by none.
func (p pins) slot(j topic.JournalID, slot topic.Slot) *control.Pin {
	return p.find(func(h *holding) bool { from, to := h.slots(j); return from <= slot && slot < to })
}

func (p pins) object(o topic.Object) *control.Pin {
	return p.find(func(h *holding) bool { return h.object(o) })
}

func (p pins) key(key string) *control.Pin {
	return p.find(func(h *holding) bool { return h.keys[key] })
}

func (p pins) find(holds func(*holding) bool) *control.Pin {
	for _, h := range p {
		if holds(h) {
			return h.pin
		}
	}
	return nil
}

// pinning is what Collect and Sweep remember of snapshots and forks. It belongs to the one who works.
type pinning struct {
	held   map[control.PinID]*holding
	unborn map[control.PinID]time.Time // since when, by this process's own clock
}

// pinned gives what snapshots and forks hold now. When one of them holds less than before, slots are looked at again that
// were passed over for its sake.
func (c *Compactor) pinned(ctx context.Context, s *control.State) (pins, error) {
	all, err := pinsOf(ctx, c.store, s, c.pinning.held)
	if err != nil {
		return nil, err
	}
	now := make(map[control.PinID]*holding, len(all))
	for _, h := range all {
		now[h.pin.ID] = h
	}
	for id, before := range c.pinning.held {
		if h, still := now[id]; !still || h.pin != before.pin {
			clear(c.garbage.cleared)
			break
		}
	}
	c.pinning.held = now
	for _, h := range all {
		for _, s := range h.states {
			c.remember(s)
		}
	}
	return all, nil
}

// tendForks gives up what forks do not need any more: all of it of one that ended, or that was not born after a day, which then
// never will be (G7); of one that lives what neither its newest control state, nor a checkpoint that it keeps, nor a snapshot or
// fork of its own names (G8). An index of the fork's that is still being built from an older checkpoint may miss slots below
// its TRIM, as it may in a cluster of its own: then another era is built.
func (c *Compactor) tendForks(ctx context.Context, s *control.State, all pins) error {
	if c.cfg.Forks == nil {
		return nil
	}
	unborn := make(map[control.PinID]time.Time)
	for _, h := range all {
		if !h.pin.IsFork() {
			continue
		}
		r, err := c.tend(ctx, h, unborn)
		if err != nil {
			slog.WarnContext(ctx, "what a fork needs cannot be told, all of it stays", "place", h.pin.Place, "error", err)
			continue
		}
		if !r.Whole && len(r.Trims)+len(r.Objects) == 0 {
			continue
		}
		_, err = c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
			if s.Judge(r).Void {
				return nil, nil // another agent was faster
			}
			return []control.Record{r}, nil
		})
		if err != nil {
			return fmt.Errorf("give up what the fork at %s does not need: %w", h.pin.Place, err)
		}
	}
	c.pinning.unborn = unborn
	return nil
}

// tend gives the UNPIN that is due for a fork; one that names nothing if none is.
func (c *Compactor) tend(ctx context.Context, h *holding, unborn map[control.PinID]time.Time) (control.Unpin, error) {
	r := control.Unpin{Pin: h.pin.ID}
	look, err := c.cfg.Forks.Look(ctx, h.pin)
	switch {
	case err != nil:
		return r, err
	case look.Never:
		r.Whole = true
		return r, nil
	case look.State == nil:
		now := time.Now()
		since, seen := c.pinning.unborn[h.pin.ID]
		if !seen {
			since = now
		}
		unborn[h.pin.ID] = since
		if now.Sub(since) >= c.cfg.Garbage.Sweep {
			r.Whole, err = c.cfg.Forks.Bury(ctx, h.pin)
		}
		return r, err
	case look.State.Ended():
		r.Whole = true
		return r, nil
	}
	k, ok, err := keptStates(ctx, look.Store, look.State)
	if err != nil || !ok {
		return r, err
	}
	own, err := pinsOf(ctx, look.Store, look.State, nil)
	if err != nil {
		return r, err
	}
	for j := range h.moment.Journals() {
		from, to := h.slots(j.ID)
		fork, ok := look.State.Journal(j.ID)
		if !ok || from >= to {
			continue
		}
		below := min(k.trim(fork), to)
		for _, x := range own {
			if low, high := x.slots(j.ID); low < high {
				below = min(below, low)
			}
		}
		if below > from {
			r.Trims = append(r.Trims, control.JournalNext{Journal: j.ID, Next: below})
		}
	}
	slices.SortFunc(r.Trims, func(a, b control.JournalNext) int { return bytes.Compare(a.Journal[:], b.Journal[:]) })
	named := make(map[topic.Object]bool)
	for _, s := range h.states {
		for o := range s.Objects() {
			if !named[o] && h.object(o) && !k.names(o) && own.object(o) == nil {
				r.Objects = append(r.Objects, o)
			}
			named[o] = true
		}
	}
	slices.SortFunc(r.Objects, topic.Object.Compare)
	return r, nil
}
