package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

const (
	mirrorEvery   = 500 * time.Millisecond // reads come at least so often, whatever the doorbell says
	mirrorPause   = 25 * time.Millisecond  // between reads that the doorbell asks for: with many agents it hardly rests
	mirrorTimeout = 5 * time.Second        // of one read of Redis
	mirrorAtOnce  = 1024                   // segments asked for in one read of Redis, all journals together
	mirrorLeast   = 8                      // and of one journal
	mirrorTidy    = time.Minute            // how often what is known of deleted topics is forgotten
	sealedRetry   = time.Second            // after the bucket did not answer
)

// errUnmirrored says that the index of others cannot be read from Redis: no era was ever named.
var errUnmirrored = fmt.Errorf("no era was named yet: %w", metadata.ErrNotOpen)

// errBehindOwn says that others know more of this agent's own journal than it does: they have sealed it, and this agent
// finds out in a moment.
var errBehindOwn = errors.New("own journal was taken over")

// mirror is how far the index in memory follows the journals of others: those that are open, and those that the control
// state calls sealed, up to their seal. Safe for concurrent use.
type mirror struct {
	bell   chan struct{} // there is news in Redis; capacity 1
	sealed chan struct{} // sealed journals may be behind; capacity 1
	turn   chan struct{} // held by the one who reads Redis; capacity 1

	base *checkpoint.Head // what was in the index in memory from the start, nil if nothing was; written before the engine runs

	mu       sync.Mutex // guards all below, and what followed says of it
	journals map[topic.JournalID]*followed
	done     map[topic.JournalID]struct{} // sealed ones that are mirrored to the seal
	known    topic.Slot                   // control numbers below are in journals
	mirrored time.Time                    // a read of Redis that began then is in the index in memory
	failed   time.Time                    // a read of Redis that began then came to nothing,
	why      error                        // for this reason
}

// followed is a journal of another agent. next only rises, and whoever raises it has taken in every slot between.
type followed struct {
	id      topic.JournalID
	reading chan struct{}                    // held by the one who reads its footers; capacity 1
	trim    topic.Slot                       // slots below may be gone; guarded by mirror.mu
	next    topic.Slot                       // every slot below is in the index in memory; guarded by mirror.mu
	ends    map[topic.Partition]topic.Offset // of what it wrote below next; guarded by mirror.mu
	whole   topic.Slot                       // all that counted at this control number was read for the own partitions; guarded by mirror.mu
	over    bool                             // the control state calls it sealed at seal; guarded by mirror.mu
	seal    topic.Slot
}

func (m *mirror) init() {
	m.bell, m.sealed, m.turn = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	m.journals, m.done = make(map[topic.JournalID]*followed), make(map[topic.JournalID]struct{})
}

// whole notes journals that were read to their end.
func (m *mirror) whole(js []ended) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range js {
		m.done[j.journal.ID] = struct{}{}
		delete(m.journals, j.journal.ID)
	}
}

// follow brings the journals followed to the control state, and lists them. The lock is held.
func (e *Engine) follow() []*followed {
	m, s := &e.mirror, e.State()
	if m.known != s.Next() {
		m.known = s.Next()
		for j := range s.Journals() {
			if _, done := m.done[j.ID]; done || j.ID == e.journal {
				continue
			}
			f := m.journals[j.ID]
			if f == nil {
				f = &followed{
					id: j.ID, reading: make(chan struct{}, 1), next: nextIn(m.base, j.ID),
					ends: make(map[topic.Partition]topic.Offset),
				}
				m.journals[j.ID] = f
			}
			f.over, f.seal, f.trim = j.Sealed, j.SealSlot, j.Trim
			if err := f.lost(); err != nil {
				e.stop(err) // what lay between is in a checkpoint, which only who begins anew reads
			}
		}
	}
	all := make([]*followed, 0, len(m.journals))
	for id, f := range m.journals {
		if f.over && f.next >= f.seal {
			m.done[id] = struct{}{}
			delete(m.journals, id)
			continue
		}
		all = append(all, f)
	}
	return all
}

// following gives one journal, nil if there is nothing to follow of it.
func (e *Engine) following(id topic.JournalID) *followed {
	e.mirror.mu.Lock()
	defer e.mirror.mu.Unlock()
	e.follow()
	return e.mirror.journals[id]
}

func (m *mirror) next(f *followed) topic.Slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.next
}

// lost says that slots which were not taken in may be gone: TRIM has passed them. The lock is held.
func (f *followed) lost() error {
	if f.next >= f.trim {
		return nil
	}
	return fmt.Errorf("journal %s is followed up to slot %d, and trimmed below %d: %w", f.id, f.next, f.trim, ErrTrimmed)
}

// reached gives where a journal is to be read on from, and its TRIM. ErrTrimmed: the slots from there on may be gone.
func (m *mirror) reached(f *followed) (next, trim topic.Slot, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.next, f.trim, f.lost()
}

// Mirror keeps the index in memory current for the journals of others until ctx ends: from Redis, and, for journals that
// are sealed, from their footers, so that a takeover needs no Redis.
func (e *Engine) Mirror(ctx context.Context) error {
	if e.cfg.Alone {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() {
		_ = e.meta.Listen(ctx, func(k metadata.Kinds) {
			if k&metadata.KindIndex != 0 {
				ring(e.mirror.bell)
			}
		}) // ends with ctx; a lost doorbell costs half a second
	})
	parts.Go(func() { e.mirrorSealed(ctx) })
	away, tidied := false, time.Now()
	for {
		if time.Since(tidied) > mirrorTidy {
			e.tidy()
			tidied = time.Now()
		}
		err := e.SyncIndex(ctx, time.Now())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !away {
			slog.WarnContext(ctx, "new records of other agents are not seen for now", "error", err)
		}
		away = err != nil
		ring(e.mirror.sealed)
		if err := pause(ctx, mirrorPause, nil); err != nil {
			return err
		}
		if err := pause(ctx, mirrorEvery-mirrorPause, e.mirror.bell); err != nil {
			return err
		}
	}
}

// tidy forgets what was remembered of deleted topics.
func (e *Engine) tidy() {
	gone := e.State().TopicDeleted
	e.past.forget(gone)
	e.index.forget(gone)
	m := &e.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.journals {
		maps.DeleteFunc(f.ends, func(p topic.Partition, _ topic.Offset) bool { return gone(p.Topic) })
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// pause waits until d is over, woken is, or ctx ends.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-woken:
	case <-t.C:
	}
	return nil
}

// SyncIndex returns when a read of Redis that began at asked or later is in the index in memory: what any agent had
// indexed by then is visible here. One read serves all that wait. Errors: those of metadata.Index.Segments; then
// Redis says nothing, and what is visible may be behind.
func (e *Engine) SyncIndex(ctx context.Context, asked time.Time) error {
	m := &e.mirror
	for {
		if settled, err := m.since(asked); settled {
			return err
		}
		select {
		case m.turn <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if settled, _ := m.since(asked); !settled {
			began := time.Now()
			err := e.readRedis(ctx)
			if ctx.Err() == nil { // else it is about who asked, not about Redis
				m.note(began, err)
			}
		}
		<-m.turn
	}
}

// since says whether a read that began at asked or later has ended, and how.
func (m *mirror) since(asked time.Time) (settled bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.mirrored.IsZero() && !m.mirrored.Before(asked):
		return true, nil
	case !m.failed.IsZero() && !m.failed.Before(asked):
		return true, m.why
	}
	return false, nil
}

func (m *mirror) note(began time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.failed, m.why = began, err
		return
	}
	m.mirrored = began
}

// readable says whether Redis answered the last time it was asked.
func (m *mirror) readable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mirrored.After(m.failed)
}

// readRedis mirrors what the open era holds of the journals of others. The caller has the turn. Redis itself checks that
// the era is open and that it is the one which the newest ERA names (C1, R3); else nothing is read.
func (e *Engine) readRedis(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	newest, ok := e.State().NewestEra()
	if !ok {
		return errUnmirrored
	}
	if err := e.abreast(ctx, pinOf(newest)); err != nil {
		return err
	}
	m := &e.mirror
	m.mu.Lock()
	all := e.follow()
	m.mu.Unlock()
	if err := e.reachBase(ctx, newest, all); err != nil {
		return err
	}
	for first := true; first || len(all) > 0; first = false {
		cursors := make([]metadata.Cursor, len(all))
		for i, f := range all {
			cursors[i] = metadata.Cursor{Journal: f.id, From: m.next(f)}
		}
		if first { // what others indexed of the own journal, which this agent was not told of, must not be missing here (I7)
			cursors = append(cursors, metadata.Cursor{Journal: e.journal, From: e.index.counted()})
		}
		limit := max(mirrorLeast, mirrorAtOnce/max(1, len(all)))
		segments, err := e.meta.Segments(ctx, pinOf(newest), cursors, limit)
		if errors.Is(err, metadata.ErrUnreadable) {
			return e.unfitCopy(ctx, newest, err)
		}
		if err != nil {
			return err
		}
		var more []*followed
		for _, f := range all {
			n := 0
			for n < len(segments) && segments[n].Journal == f.id {
				n++
			}
			if err := e.mirrorSegments(ctx, newest, f, segments[:n]); err != nil {
				return err
			}
			if segments = segments[n:]; n == limit {
				more = append(more, f)
			}
		}
		for _, s := range segments {
			if s.Journal == e.journal && s.Slot >= e.index.counted() {
				return fmt.Errorf("slot %d of the own journal is indexed and not known to count here: %w", s.Slot, errBehindOwn)
			}
		}
		all = more
	}
	return nil
}

// abreast returns when this agent has applied all control records that Redis has. It follows the journals that it knows
// of: what one holds that was opened since, others may have shown already (I7).
func (e *Engine) abreast(ctx context.Context, pin metadata.Pin) error {
	applied, err := e.meta.Applied(ctx, pin)
	if err != nil || applied < e.State().Next() {
		return err
	}
	if err := e.CatchUp(ctx); err != nil {
		return fmt.Errorf("redis stands at control %d, this agent at %d: %w", applied, e.State().Next()-1, err)
	}
	if newest, _ := e.State().NewestEra(); uint64(newest.Number) != pin.Era {
		return fmt.Errorf("era %d follows %d: %w", newest.Number, pin.Era, metadata.ErrEra)
	}
	return nil
}

// mirrorSegments takes in what Redis holds of a journal. Slots that it was loaded without lie below those that count: they
// are read from the bucket (I6). What Redis tells of a slot that is not there has another era built.
func (e *Engine) mirrorSegments(ctx context.Context, era control.Era, f *followed, segments []metadata.Segment) error {
	for _, s := range segments {
		next := e.mirror.next(f)
		if s.Slot > next {
			if err := e.mirrorFooters(ctx, f, next, s.Slot); err != nil {
				return e.judgeAhead(ctx, era, f, next, err)
			}
		}
		if err := e.mirrorSlot(f, extentsOf(s)); err != nil {
			return e.judgeCopy(ctx, era, f, s, err)
		}
	}
	return nil
}

// mirrorFooters takes in the slots [from, to) of a journal, which count, from the bucket. None of those that are not in yet
// is below from. ErrTrimmed: they may be gone.
func (e *Engine) mirrorFooters(ctx context.Context, f *followed, from, to topic.Slot) error {
	if _, _, err := e.mirror.reached(f); err != nil {
		return err
	}
	return e.slots(ctx, f.id, from, to, func(x segment.SlotExtents) error {
		return e.mirrorFooter(f, x)
	})
}

// mirrorFooter is mirrorSlot for what the bucket says.
func (e *Engine) mirrorFooter(f *followed, x segment.SlotExtents) error {
	err := e.mirrorSlot(f, x)
	if err != nil {
		e.Contradicted(err)
	}
	return err
}

// mirrorSlot takes in one slot that counts, all below it being in already. With an error it is not in.
func (e *Engine) mirrorSlot(f *followed, slot segment.SlotExtents) error {
	slot = present(e.State(), slot)
	if err := e.log.Add(f.id, slot); err != nil {
		return err
	}
	m := &e.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range slot.Extents {
		f.ends[x.Partition] = max(f.ends[x.Partition], x.Next)
	}
	f.next = max(f.next, slot.Slot+1)
	return nil
}

// mirrorSealed reads, until ctx ends, what is missing of journals that the control state calls sealed: all slots below
// the seal count (I2), whatever Redis knows of them.
func (e *Engine) mirrorSealed(ctx context.Context) {
	m := &e.mirror
	for {
		var retry <-chan time.Time
		m.mu.Lock()
		all := e.follow()
		m.mu.Unlock()
		for _, f := range all {
			if err := e.readSealed(ctx, f); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "sealed journal not read", "journal", f.id.String(), "error", err)
				retry = time.After(sealedRetry)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-m.sealed:
		case <-retry:
		}
	}
}

// readSealed mirrors a journal to its seal, if the control state names one.
func (e *Engine) readSealed(ctx context.Context, f *followed) error {
	m := &e.mirror
	m.mu.Lock()
	over, seal := f.over, f.seal
	m.mu.Unlock()
	if !over {
		return nil
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	if next := m.next(f); next < seal {
		return e.mirrorFooters(ctx, f, next, seal)
	}
	return nil
}

func (f *followed) take(ctx context.Context) error {
	select {
	case f.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *followed) give() { <-f.reading }

// readToSeal gives where the partitions of a journal end whose slot seal holds a seal: all slots below it count. It needs
// no Redis, and mirrors the journal by the way. Of one that the control state calls sealed already it may say nothing:
// there is nothing left to give away.
func (e *Engine) readToSeal(ctx context.Context, j topic.JournalID, seal topic.Slot) (map[topic.Partition]topic.Offset, error) {
	if j == e.journal {
		return e.ownEnds(ctx, seal)
	}
	f := e.following(j)
	if f == nil {
		return nil, nil
	}
	if err := f.take(ctx); err != nil {
		return nil, err
	}
	defer f.give()
	// Where partitions end that the journal wrote last below TRIM is known from the checkpoint that the index in memory began
	// with, or from what was taken in since: all of it, or nothing may be concluded (I3).
	from, trim, err := e.mirror.reached(f)
	if err != nil {
		return nil, err
	}
	ends, listed, err := e.summaryEnds(ctx, j, trim, seal)
	if err != nil {
		return nil, err
	}
	// What lies above the last summary is read from the bucket even if Redis told of it: the base of an epoch rests on it.
	err = e.slots(ctx, j, min(from, listed), seal, func(x segment.SlotExtents) error {
		if err := e.mirrorFooter(f, x); err != nil {
			return err
		}
		for _, y := range x.Extents {
			if x.Slot >= listed {
				ends[y.Partition] = y.Next
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.mirror.mu.Lock()
	defer e.mirror.mu.Unlock()
	for p, end := range f.ends {
		if _, ok := ends[p]; !ok { // given away before the summary, and not written since
			ends[p] = end
		}
	}
	e.baseEnds(j, ends)
	return ends, nil
}

// baseEnds adds to the ends of what a journal owns those that the index in memory began with, of partitions that no footer
// read since tells of: what the journal wrote of them lies below the checkpoint's Next, and nobody came after it (I3).
func (e *Engine) baseEnds(j topic.JournalID, ends map[topic.Partition]topic.Offset) {
	if e.mirror.base == nil {
		return
	}
	for _, a := range e.State().PartitionsOf(j) {
		if _, ok := ends[a.Partition]; ok {
			continue
		}
		if end := e.mirror.base.End(a.Partition); end > a.Base {
			ends[a.Partition] = end
		}
	}
}

// ownEnds is readToSeal for this agent's own journal: what counts was made visible as it came to count, but perhaps for
// its last slots.
func (e *Engine) ownEnds(ctx context.Context, seal topic.Slot) (map[topic.Partition]topic.Offset, error) {
	from := e.index.counted()
	ends := make(map[topic.Partition]topic.Offset)
	for _, a := range e.State().PartitionsOf(e.journal) {
		_, ends[a.Partition] = e.log.Bounds(a.Partition)
	}
	return ends, e.slots(ctx, e.journal, min(from, seal), seal, func(x segment.SlotExtents) error {
		for _, y := range x.Extents {
			ends[y.Partition] = max(ends[y.Partition], y.Next)
		}
		return nil
	})
}

// summaryEnds gives what the last summary below seal says of where partitions end, and the first slot above it.
func (e *Engine) summaryEnds(ctx context.Context, j topic.JournalID, trim, seal topic.Slot) (map[topic.Partition]topic.Offset, topic.Slot, error) {
	ends := make(map[topic.Partition]topic.Offset)
	above := seal - seal%segment.SummaryEvery
	if above <= trim {
		return ends, trim, nil
	}
	last, err := readFooter(ctx, e.store, j, above-1)
	if err != nil {
		return nil, 0, err
	}
	if last.Summary == nil {
		return ends, trim, nil
	}
	for _, p := range last.Summary.Ends {
		ends[p.Partition] = p.Next
	}
	return ends, above, nil
}

// Visible gives the first slot of a journal that this agent does not know to count, or that others may not see yet: those
// that are open are followed by the index in Redis, and an own slot is there once it is indexed.
func (e *Engine) Visible(j topic.JournalID) topic.Slot {
	if j == e.journal {
		return min(topic.Slot(e.indexed.Load()), e.index.counted())
	}
	return e.countedOf(j)
}

// countedOf says up to where slots of a journal are known to count here.
func (e *Engine) countedOf(j topic.JournalID) topic.Slot {
	if j == e.journal {
		return e.index.counted()
	}
	if f := e.following(j); f != nil {
		return e.mirror.next(f)
	}
	if known, ok := e.State().Journal(j); ok && known.Sealed {
		return known.SealSlot
	}
	return 0
}
