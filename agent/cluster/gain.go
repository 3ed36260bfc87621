package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/agent/cache"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	gainJournals   = 8        // read at once for one partition
	gainReads      = 64       // footers asked for at once, all partitions that are being gained together
	gainAhead      = 16       // by one of them
	gainCacheBytes = 16 << 20 // of footers: partitions that are gained together lie in the same slots
	summaryWorth   = 4        // slots wanted of 64 that make their summary worth its read
	gainRetry      = 100 * time.Millisecond
	gainRetryMost  = 5 * time.Second
	gainSync       = time.Second            // for Redis to tell what it has, before footers are read
	gainLook       = 250 * time.Millisecond // how often what others may have changed is looked at
)

// ErrMoved says that a partition was assigned on, or deleted, so that it is not to be gained any more.
var ErrMoved = errors.New("assignment is not the newest")

// errUnreached says that the index in memory does not reach an assignment's base yet.
var errUnreached = errors.New("index does not reach the base")

// Taken is what a partition is taken over with.
type Taken struct {
	Producers sequence.State // at the assignment's base, exactly (I8); the caller's
}

// Known gives at once what Gained would if that takes no reading: of partitions that were read whole at boot, of those
// where nothing was written yet.
func (e *Engine) Known(a control.Assignment) (Taken, bool) {
	if !e.reaches(a, e.State().Next()) {
		return Taken{}, false
	}
	s := e.past.get(a.Partition)
	if s.at != a.Base {
		return Taken{}, false
	}
	producers, err := sequence.Restore(s.snapshot)
	return Taken{producers}, err == nil
}

// Gained waits until the index in memory reaches the base of a partition that was assigned to this agent and has all log
// starts that were set before, and loads its producer state at exactly that offset (F5): then the partition can be owned. It goes on while the bucket is away,
// and needs no Redis. Errors: ErrMoved when the assignment is not the newest any more; ctx's.
func (e *Engine) Gained(ctx context.Context, a control.Assignment) (Taken, error) {
	since := e.State().Next() // the assignment is in this state or a newer one
	for try := 0; ; try++ {
		if !e.newest(a) {
			return Taken{}, fmt.Errorf("%s epoch %d: %w", a.Partition, a.Epoch, ErrMoved)
		}
		t, err := e.gain(ctx, a, since)
		if err == nil {
			e.past.set(a.Partition, a.Base, &t.Producers)
			return t, nil
		}
		if ctx.Err() != nil {
			return Taken{}, context.Cause(ctx)
		}
		if try > 0 && !errors.Is(err, errUnreached) {
			slog.WarnContext(ctx, "partition not taken over yet", "partition", a.Partition.String(), "epoch", a.Epoch, "error", err)
		}
		if err := e.rest(ctx, a, since, min(gainRetry<<min(try, 10), gainRetryMost)); err != nil {
			return Taken{}, err
		}
	}
}

// rest waits for d, or until something new is mirrored that makes a try worth it, or the assignment is over.
func (e *Engine) rest(ctx context.Context, a control.Assignment, since topic.Slot, d time.Duration) error {
	for until := time.Now().Add(d); ; {
		left := min(time.Until(until), gainLook)
		if left <= 0 || !e.newest(a) {
			return nil
		}
		before := e.reaches(a, since)
		if err := pause(ctx, left, nil); err != nil {
			return err
		}
		if !before && e.reaches(a, since) {
			return nil
		}
	}
}

// newest says whether an assignment is still its partition's.
func (e *Engine) newest(a control.Assignment) bool {
	now, ok := e.State().Owner(a.Partition)
	return ok && now.Epoch == a.Epoch && now.Journal == a.Journal
}

// reaches says whether all of a partition below an assignment's base is visible, and every log start that its owners
// before have set. since is the number of a control state that has the assignment.
func (e *Engine) reaches(a control.Assignment, since topic.Slot) bool {
	_, end := e.log.Bounds(a.Partition)
	return end >= a.Base && len(e.behind(a, since)) == 0
}

// behind lists the journals that have to be read on before a partition can be owned: those that hold its records below the
// base, and those that may hold a log start which is not known yet. Log starts lie in the slots of whoever owned the partition,
// also under an epoch that wrote no record, which the control state has forgotten.
//
// A RELEASE repeats the log start, which its journal knew to be the newest: nothing before it matters. After a seal it
// is every owner's before: where some of them are forgotten, every journal that may have been one of them is read.
func (e *Engine) behind(a control.Assignment, since topic.Slot) []topic.JournalID {
	start, end := e.log.Bounds(a.Partition)
	var list []topic.JournalID
	need := func(id topic.JournalID) {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	listed := topic.Epoch(0)
	for _, before := range e.State().Assignments(a.Partition) {
		if before.Epoch >= a.Epoch {
			break
		}
		listed++
		// An epoch's log starts do not lie behind its end.
		if before.End > end || !a.Moved && before.End > start && !e.readWhole(before.Journal, since) {
			need(before.Journal)
		}
	}
	switch {
	case start >= a.Base: // it cannot be higher
	case a.Moved:
		if !e.readPast(a.From, a.Released, since) {
			need(a.From)
		}
	case listed < a.Epoch:
		for _, id := range e.followedJournals() {
			if !e.readWhole(id, since) {
				need(id)
			}
		}
	}
	return list
}

// followedJournals lists the journals that are followed.
func (e *Engine) followedJournals() []topic.JournalID {
	e.mirror.mu.Lock()
	defer e.mirror.mu.Unlock()
	list := e.follow()
	ids := make([]topic.JournalID, len(list))
	for i, f := range list {
		ids[i] = f.id
	}
	return ids
}

// readWhole says whether the index in memory has all of a journal that counted in the control state that since numbers.
func (e *Engine) readWhole(id topic.JournalID, since topic.Slot) bool {
	if id == e.journal {
		return true // an own slot is visible as soon as it counts
	}
	f := e.following(id)
	if f == nil {
		return true // mirrored to its seal
	}
	e.mirror.mu.Lock()
	defer e.mirror.mu.Unlock()
	return f.whole >= since
}

// readPast says whether the index in memory has a slot of a journal and all below it.
func (e *Engine) readPast(id topic.JournalID, slot, since topic.Slot) bool {
	if e.readWhole(id, since) {
		return true
	}
	f := e.following(id)
	return f == nil || e.mirror.next(f) > slot
}

func (e *Engine) gain(ctx context.Context, a control.Assignment, since topic.Slot) (Taken, error) {
	if err := e.reach(ctx, a, since); err != nil {
		return Taken{}, err
	}
	producers, err := e.producersAt(ctx, a)
	return Taken{producers}, err
}

// reach makes the index in memory reach an assignment's base, log starts included: by what Redis tells; where that is not
// enough, by the footers of the journals that wrote what is missing.
func (e *Engine) reach(ctx context.Context, a control.Assignment, since topic.Slot) error {
	if e.reaches(a, since) {
		return nil
	}
	sync, cancel := context.WithTimeout(ctx, gainSync)
	_ = e.SyncIndex(sync, time.Now()) // with Redis away the bucket has it all
	cancel()
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(gainJournals)
	for _, id := range e.behind(a, since) {
		f := e.following(id)
		if f == nil {
			continue // own, or mirrored to its seal: what is missing is on its way
		}
		g.Go(func() error {
			if err := e.readSealed(reading, f); err != nil {
				return err
			}
			return e.readOpen(reading, f, a, since)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !e.reaches(a, since) {
		_, end := e.log.Bounds(a.Partition)
		return fmt.Errorf("%s ends at %d, base %d: %w", a.Partition, end, a.Base, errUnreached)
	}
	return nil
}

// readOpen reads the footers of a journal that goes on and has what a's partition needs: every slot that is there without a
// hole below it counts (I2). One reading serves all that are being gained. Of what they hold only this agent's partitions
// become visible: the others follow the index in Redis, so that no high watermark goes back from one agent to the next (I7).
func (e *Engine) readOpen(ctx context.Context, f *followed, a control.Assignment, since topic.Slot) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	s := e.State()
	j, ok := s.Journal(f.id)
	if !ok || j.Sealed || !slices.Contains(e.behind(a, since), f.id) {
		return nil // sealed meanwhile, and the next try reads it to its seal; or somebody else's reading served
	}
	next, _, err := e.mirror.reached(f)
	if err != nil {
		return err
	}
	safe, err := slotlog.FirstToSeal(ctx, e.store, f.id, next, j.K)
	if err != nil {
		return err
	}
	if err := e.slots(ctx, f.id, next, safe, func(x segment.SlotExtents) error { return e.addOwn(f.id, x) }); err != nil {
		return err
	}
	for slot := safe; ; slot++ {
		footer, err := readFooter(ctx, e.store, f.id, slot)
		if errors.Is(err, slotlog.ErrHole) || errors.Is(err, errSeal) {
			if err := e.isEnd(ctx, f, slot); err != nil {
				return err
			}
			e.mirror.mu.Lock()
			defer e.mirror.mu.Unlock()
			f.whole = max(f.whole, s.Next())
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.addOwn(f.id, footer.Repeated()); err != nil {
			return err
		}
	}
}

// isEnd asks of a hole in a journal, or a seal that the control log does not tell of, whether the journal ends there: what is
// deleted lies below a TRIM that was in the control log before (I2, I9), and a seal in its place is void with the record that
// would name it (S3).
func (e *Engine) isEnd(ctx context.Context, f *followed, hole topic.Slot) error {
	if err := e.CatchUp(ctx); err != nil {
		return err
	}
	if j, ok := e.State().Journal(f.id); ok && hole < j.Trim {
		return fmt.Errorf("slot %d of journal %s is gone: %w", hole, f.id, ErrTrimmed)
	}
	return nil
}

// addOwn makes what a slot says of partitions visible that this agent owns.
func (e *Engine) addOwn(j topic.JournalID, x segment.SlotExtents) error {
	s := e.State()
	others := func(p topic.Partition) bool {
		a, ok := s.Owner(p)
		return !ok || a.Journal != e.journal
	}
	x.Extents = except(x.Extents, func(y segment.Extent) bool { return others(y.Partition) })
	x.LogStarts = except(x.LogStarts, func(l segment.LogStart) bool { return others(l.Partition) })
	err := e.log.Add(j, x)
	if err != nil {
		e.Contradicted(err)
	}
	return err
}

// producersAt gives the producer state of a partition at an assignment's base, which the index in memory reaches. It
// starts from the nearest state that says the offset it stands at, and takes in what the footers from there on say. Those
// of trimmed slots are gone: the newest checkpoint has what they said.
func (e *Engine) producersAt(ctx context.Context, a control.Assignment) (sequence.State, error) {
	from := e.past.get(a.Partition)
	if from.at > a.Base {
		from = stand{}
	}
	if j, ok := e.State().Journal(a.From); from.at < a.Base && a.Moved && ok && j.Trim <= a.Released {
		if s, err := e.released(ctx, a); err == nil {
			return s, nil
		} else if ctx.Err() != nil {
			return sequence.State{}, context.Cause(ctx)
		} else {
			slog.WarnContext(ctx, "release not read, producers come from the log", "partition", a.Partition.String(), "error", err)
		}
	}
	var s sequence.State
	if from.at < a.Base {
		if copied, at, ok := e.copied(ctx, a); ok && at > from.at {
			s, from = copied, stand{at: at}
		}
	}
	if from.at < a.Base && from.at < e.compacted(a.Partition) { // slots that tell of what lies between may be gone
		if err := e.recall(ctx); err != nil {
			return sequence.State{}, err
		}
		if known := e.past.get(a.Partition); known.at > from.at && known.at <= a.Base {
			s, from = sequence.State{}, known
		}
	}
	if len(from.snapshot) > 0 {
		var err error
		if s, err = sequence.Restore(from.snapshot); err != nil {
			return sequence.State{}, err
		}
	}
	return s, e.advance(ctx, a.Partition, &s, from.at, a.Base)
}

// released gives the producer state that the RELEASE holds by which a partition was given away (M1).
func (e *Engine) released(ctx context.Context, a control.Assignment) (sequence.State, error) {
	read, err := e.footers(ctx, a.From, stretch{a.Released, a.Released + 1})
	if err != nil {
		return sequence.State{}, err
	}
	for _, r := range read.releases {
		if r.Partition != a.Partition || r.Epoch != a.Epoch-1 {
			continue
		}
		if r.End != a.Base {
			return sequence.State{}, fmt.Errorf("slot %d of journal %s: %s released at %d, assigned from %d: %w",
				a.Released, a.From, a.Partition, r.End, a.Base, segment.ErrCorrupt)
		}
		return sequence.Restore(r.ProducerState)
	}
	return sequence.State{}, fmt.Errorf("slot %d of journal %s: no release of %s epoch %d: %w",
		a.Released, a.From, a.Partition, a.Epoch-1, segment.ErrCorrupt)
}

// copied gives the copy of a partition's producer state that the owner before left in Redis, if it stands at or below
// the base.
func (e *Engine) copied(ctx context.Context, a control.Assignment) (sequence.State, topic.Offset, bool) {
	newest, ok := e.State().NewestEra()
	if !ok || !e.mirror.readable() {
		return sequence.State{}, 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, gainSync)
	defer cancel()
	copies, err := e.meta.Get(ctx, pinOf(newest), metadata.CopyProducer, a.Partition, []string{""})
	if err != nil || len(copies) == 0 || copies[0].Position > a.Base {
		return sequence.State{}, 0, false
	}
	s, err := sequence.Restore(copies[0].Value)
	if err != nil {
		slog.WarnContext(ctx, "copy of producers is unfit", "partition", a.Partition.String(), "error", err)
		return sequence.State{}, 0, false
	}
	return s, copies[0].Position, true
}

// advance takes into s, the producer state of a partition at from, what the footers say of [from, to).
func (e *Engine) advance(ctx context.Context, p topic.Partition, s *sequence.State, from, to topic.Offset) error {
	if from >= to {
		return nil
	}
	extents := e.log.Extents(p, from, to)
	first := to
	if len(extents) > 0 {
		first = extents[0].Base
	}
	if err := e.advanceDeleted(ctx, p, s, from, first); err != nil {
		return err
	}
	if first >= to {
		return nil
	}
	return e.pass(ctx, p, s, max(from, first), to)
}

// readParts tells fn what parts of journals say, in their order; some are read ahead.
func (e *Engine) readParts(ctx context.Context, reads []part, fn func(topic.JournalID, segment.SlotExtents)) error {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		read footers
		err  error
	}
	var ahead []chan result
	defer func() {
		cancel()
		for _, c := range ahead {
			<-c
		}
	}()
	for len(reads) > 0 || len(ahead) > 0 {
		for len(reads) > 0 && len(ahead) < gainAhead {
			c, r := make(chan result, 1), reads[0]
			reads, ahead = reads[1:], append(ahead, c)
			go func() {
				read, err := e.footers(ctx, r.journal, r.stretch)
				c <- result{read, err}
			}()
		}
		r := <-ahead[0]
		ahead = ahead[1:]
		if r.err != nil {
			return r.err
		}
		for _, slot := range r.read.slots {
			fn(r.read.journal, slot)
		}
	}
	return nil
}

// at is a slot of a journal.
type at struct {
	journal topic.JournalID
	slot    topic.Slot
}

// part is slots of a journal that one read tells of.
type part struct {
	journal topic.JournalID
	stretch stretch
}

// stretches lists what to read to learn of some extents, given in offset order: their slots one by one, or, where
// many lie close together, the summary that repeats them.
func (e *Engine) stretches(extents []index.Entry) []part {
	var out []part
	for len(extents) > 0 {
		x := extents[0]
		block := x.Slot - x.Slot%segment.SummaryEvery
		n := 1
		for n < len(extents) && extents[n].Journal == x.Journal && extents[n].Slot > extents[n-1].Slot && extents[n].Slot < block+segment.SummaryEvery {
			n++
		}
		if n >= summaryWorth && e.countedOf(x.Journal) >= block+segment.SummaryEvery {
			out = append(out, part{x.Journal, stretch{x.Slot, block + segment.SummaryEvery}})
		} else {
			for _, y := range extents[:n] {
				out = append(out, part{y.Journal, stretch{y.Slot, y.Slot + 1}})
			}
		}
		extents = extents[n:]
	}
	return out
}

// footers is what a stretch of a journal says of producers; of a single slot also what it releases. Extents are left out:
// the index in memory has them, and the cache has room for twice as many slots without.
type footers struct {
	journal  topic.JournalID
	slots    []segment.SlotExtents
	releases []segment.Release
}

// reader reads footers for partitions that are being gained: many of them lie in the same slots.
type reader struct {
	cache *cache.Cache[part, footers]
	turns chan struct{} // holds one for each read under way

	passes passes
}

func (r *reader) init() {
	r.cache, r.turns = cache.New[part, footers](gainCacheBytes), make(chan struct{}, gainReads)
}

// footers reads a stretch of a journal, whose slots count.
func (e *Engine) footers(ctx context.Context, j topic.JournalID, s stretch) (footers, error) {
	r := &e.reader
	// It ends with whoever asked first: the others try again. A load that outlived its asker would hold the end up.
	return r.cache.Load(ctx, part{j, s}, func(context.Context) (footers, int64, error) {
		select {
		case r.turns <- struct{}{}:
		case <-ctx.Done():
			return footers{}, 0, context.Cause(ctx)
		}
		defer func() { <-r.turns }()
		out := footers{journal: j}
		if s.to-s.from == 1 {
			f, err := readFooter(ctx, e.store, j, s.from)
			if err != nil {
				return footers{}, 0, err
			}
			out.slots, out.releases = []segment.SlotExtents{f.Repeated()}, f.Releases
		} else {
			var err error
			if out.slots, err = e.readStretch(ctx, j, s); err != nil {
				return footers{}, 0, err
			}
		}
		for i := range out.slots {
			out.slots[i].Extents = nil
		}
		return out, out.size(), nil
	})
}

// size is about what it takes in memory.
func (f footers) size() int64 {
	const deltaSize, entrySize = 64, 128
	n := int64(entrySize)
	for _, s := range f.slots {
		n += entrySize + int64(len(s.Producers))*deltaSize
	}
	for _, r := range f.releases {
		n += entrySize + int64(len(r.ProducerState))
	}
	return n
}
