package fetch

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/cache"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// spanTimeout ends a GET that hangs; those who asked may have gone by then.
const spanTimeout = 60 * time.Second

// objectKey names an object of the bucket that holds extents.
type objectKey struct {
	journal topic.JournalID
	slot    topic.Slot
	object  topic.Object // zero: the slot's
}

func (k objectKey) String() string {
	if !k.object.IsZero() {
		return k.object.Key()
	}
	return slotlog.JournalKey(k.journal, k.slot)
}

// stretch is the bytes [from, to) of an object.
type stretch struct {
	object   objectKey
	from, to uint32
}

// spans holds stretches of objects as one GET brought each, at most limit bytes together. Of several that ask for bytes
// under way one fetches. Safe for concurrent use. Bytes are shared and must not be changed.
type spans struct {
	limit   int64
	flights *cache.Flights

	mu      sync.Mutex            // guards all below; never held while loading
	used    int64                 // by those in recent
	loaded  int64                 // in all, for ever: the clock by which spans age
	readers int64                 // spans that are read ahead
	ahead   int64                 // their bytes
	held    map[objectKey][]*span // also those that are being loaded
	recent  *list.List            // of loaded ones, most recently used first
}

// span is one GET and what it brought.
type span struct {
	stretch               // what was asked for, and when it is loaded, what there is of it; guarded by spans.mu
	ahead   bool          // somebody is expected to read what was not read yet; guarded by spans.mu
	read    int64         // bytes that were asked of it so far; guarded by spans.mu
	used    int64         // spans.loaded when it was asked last; guarded by spans.mu
	at      *list.Element // in recent; nil if it is not kept; guarded by spans.mu

	done  chan struct{} // closed when what follows is set
	bytes []byte        // fewer than asked for where the object ends before
	err   error
}

func newSpans(limit int64) *spans {
	return &spans{limit: limit, flights: cache.NewFlights(spanTimeout), held: make(map[objectKey][]*span), recent: list.New()}
}

// load gives the bytes of want, fewer where the object ends before, from a span that has them all. If there is none it
// asks widen for a stretch that holds want, and has that fetched. It waits until ctx ends and no longer; fetch goes on then,
// for others and for what is kept, until Close; it does not begin when ctx has ended, nor after Close. Errors are not kept.
func (s *spans) load(
	ctx context.Context, want stretch, widen widen, fetch func(context.Context, stretch) ([]byte, error),
) ([]byte, error) {
	s.mu.Lock()
	sp := s.find(want)
	if sp == nil {
		sp = &span{done: make(chan struct{}), read: int64(want.to - want.from), used: s.loaded}
		sp.stretch, sp.ahead = widen(around{s, want.object})
		sp.ahead = sp.ahead && sp.stretch != want
		if err := s.flights.Go(ctx, sp.run(sp.stretch, fetch), func(err error) { s.land(sp, err) }); err != nil {
			s.mu.Unlock()
			return nil, err // a request that is over would read all that it had asked for
		}
		s.count(sp, 1)
		s.held[sp.object] = append(s.held[sp.object], sp)
	}
	s.mu.Unlock()
	select {
	case <-sp.done:
		return sp.part(want), sp.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run makes of fetch what fills the bytes in.
func (sp *span) run(at stretch, fetch func(context.Context, stretch) ([]byte, error)) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		sp.bytes, err = fetch(ctx, at)
		return err
	}
}

// land takes in a span that was loaded.
func (s *spans) land(sp *span, err error) {
	s.mu.Lock()
	sp.err = err
	s.keep(sp)
	s.mu.Unlock()
	close(sp.done)
}

// widen gives the stretch to fetch, and whether somebody is expected to read all of it. It is called under a lock and
// does not block.
type widen func(around) (wide stretch, ahead bool)

// around is what may be asked about the spans when one is added. mu is held.
type around struct {
	*spans
	object objectKey
}

// before gives the size of the largest span that ends in [from, to) of the object; 0 if none does.
func (a around) before(from, to uint32) (size int64) {
	for _, sp := range a.held[a.object] {
		if from <= sp.to && sp.to < to {
			size = max(size, int64(sp.to-sp.from))
		}
	}
	return size
}

// find gives the span that has all of want, loaded or not. mu is held.
func (s *spans) find(want stretch) *span {
	for _, sp := range s.held[want.object] {
		if sp.from <= want.from && want.to <= sp.to {
			sp.used = s.loaded
			if sp.read += int64(want.to - want.from); sp.read >= int64(sp.to-sp.from) {
				s.passed(sp)
			}
			if sp.at != nil {
				s.recent.MoveToFront(sp.at)
			}
			return sp
		}
	}
	return nil
}

// room is how many bytes one more reader may read ahead, so that those who read now find what they read ahead when they
// come to it. A quarter is left to others. mu is held.
func (s *spans) room() int64 {
	most := s.limit - s.limit/4
	return min(most/(s.readers+2), (most-s.ahead)/2) // one is about to read, and its last span is not gone yet
}

// count takes a span into account that is read ahead, or with sign -1 out of it. mu is held.
func (s *spans) count(sp *span, sign int64) {
	if sp.ahead {
		s.readers += sign
		s.ahead += sign * int64(sp.to-sp.from)
	}
}

// passed notes that nobody is expected to come to the rest of a span. mu is held.
func (s *spans) passed(sp *span) {
	s.count(sp, -1)
	sp.ahead = false
}

// keep takes in what was loaded and evicts what no longer fits; what failed, and what is larger than limit, is let go.
// mu is held.
func (s *spans) keep(sp *span) {
	s.loaded += int64(len(sp.bytes))
	sp.used = s.loaded
	if sp.err != nil || int64(len(sp.bytes)) > s.limit {
		s.let(sp)
		return
	}
	s.count(sp, -1)
	sp.to = sp.from + uint32(len(sp.bytes)) // the object may end before
	s.count(sp, 1)
	sp.at = s.recent.PushFront(sp)
	for s.used += int64(len(sp.bytes)); s.used > s.limit; {
		s.let(s.oldest())
	}
}

// spared is how many spans that a reader will come to are passed over when one is to be evicted.
const spared = 256

// oldest is the span to evict: the least recently used of those that nobody is expected to come to, because all of it was
// read, or it was read ahead and its reader did not come while four times what the cache holds was loaded. mu is held.
func (s *spans) oldest() *span {
	last := s.recent.Back()
	for at, n := last, 0; at != nil && n < spared; at, n = at.Prev(), n+1 {
		sp := at.Value.(*span)
		if s.loaded-sp.used > 4*s.limit {
			s.passed(sp)
		}
		if !sp.ahead {
			return sp
		}
	}
	return last.Value.(*span)
}

// let forgets a span. mu is held.
func (s *spans) let(sp *span) {
	s.passed(sp)
	if sp.at != nil {
		s.recent.Remove(sp.at)
		s.used -= int64(len(sp.bytes))
		sp.at = nil
	}
	rest := slices.DeleteFunc(s.held[sp.object], func(o *span) bool { return o == sp })
	if s.held[sp.object] = rest; len(rest) == 0 {
		delete(s.held, sp.object)
	}
}

// drop forgets the loaded spans that hold any of the bytes of bad, so that the next load fetches them again.
func (s *spans) drop(bad stretch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range slices.Clone(s.held[bad.object]) {
		if sp.at != nil && sp.from < bad.to && bad.from < sp.to {
			s.let(sp)
		}
	}
}

// part gives the bytes of want, which the span was asked for.
func (sp *span) part(want stretch) []byte {
	from := min(int(want.from-sp.from), len(sp.bytes))
	to := min(int(want.to-sp.from), len(sp.bytes))
	return sp.bytes[from:to:to]
}
