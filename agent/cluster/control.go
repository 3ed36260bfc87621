package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	readAhead   = 64              // control numbers asked for at once (B2)
	pollControl = 5 * time.Second // S6
	pollUnwell  = time.Second     // while there is no index: an era may be named at any moment (R1)
	staleAfter  = 10 * time.Minute
	giveUpAfter = time.Hour

	// confirmAfter is for how long the end of the control log was not reached when a number that is not there may be one that
	// was there and is deleted. It is far below the age at which numbers go (G4).
	confirmAfter = 20 * time.Second
)

// moment is a time by the clock that tests turn, and by one that counts suspend, too.
type moment struct {
	at   time.Time
	boot time.Duration
}

// ago is how long ago a moment was: a process that slept knows it by the second clock only.
func (m moment) ago() time.Duration { return max(time.Since(m.at), boottime()-m.boot) }

// Stale says that this agent has not read the control log to its end for 10 minutes: it must create nothing until it has
// (O3). After an hour Follow gives the journal up. An agent that is alone need not ask.
func (e *Engine) Stale() bool { return !e.cfg.Alone && e.reached.Load().ago() > staleAfter }

// Propose appends records to the control log and returns what became of them. decide makes them from the newest state,
// again each time another agent's record came first (S4); no records and no error means there is nothing left to do.
// ctx bounds the wait. When it ends, the records may come to count all the same: once a number may hold them, it is
// found out whether it does, and decide may still be running.
func (e *Engine) Propose(ctx context.Context, decide func(*control.State) ([]control.Record, error)) ([]control.Outcome, error) {
	if err := e.takeTurn(ctx); err != nil {
		return nil, err
	}
	type result struct {
		outcomes []control.Outcome
		err      error
	}
	done := make(chan result, 1)
	go func() { // ends with e.life; Stop waits for the turn
		defer e.giveTurn()
		outcomes, err := e.append(e.life, decide)
		done <- result{outcomes, err}
	}()
	select {
	case r := <-done:
		return r.outcomes, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// append is Propose for who has the turn: nobody else applies numbers meanwhile.
func (e *Engine) append(ctx context.Context, decide func(*control.State) ([]control.Record, error)) ([]control.Outcome, error) {
	if e.unsure() && !e.cfg.Alone { // O3: nothing is created before the log was read again
		if err := e.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	for {
		s := e.State()
		records, err := decide(s)
		if err != nil || len(records) == 0 {
			return nil, err
		}
		payload, err := control.Encode(records)
		if err != nil {
			return nil, err
		}
		asked := moment{time.Now(), boottime()}
		err = slotlog.Decide(ctx, e.store, s.Next(), payload)
		switch {
		case err == nil:
			e.reached.Store(&asked) // the number was free then
			outcomes, err := e.apply(s.Next(), records)
			e.ring(ctx)
			return outcomes, err
		case errors.Is(err, slotlog.ErrFenced): // another agent's record came first
			if err := e.catchUp(ctx); err != nil {
				return nil, err
			}
		default:
			if errors.Is(err, slotlog.ErrImpostor) {
				e.stop(err) // S1
			}
			return nil, err
		}
	}
}

func (e *Engine) takeTurn(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) giveTurn() { <-e.turn }

// Stop gives up a proposal that is under way, and what is read for partitions that were to be gained, and waits for their
// end. Nothing can be proposed afterwards.
func (e *Engine) Stop() {
	e.end()
	e.reader.cache.Close()
	e.turn <- struct{}{}
}

// ring tells the other agents. Losing it costs them a poll.
func (e *Engine) ring(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := e.meta.Ring(ctx, metadata.KindControl); err != nil {
		slog.DebugContext(ctx, "doorbell not rung", "error", err)
	}
}

// apply takes number n in. The caller has the turn, or nobody else knows the engine yet.
func (e *Engine) apply(n topic.Slot, records []control.Record) ([]control.Outcome, error) {
	before := e.State()
	if n < before.Next() {
		return nil, fmt.Errorf("control %d: %w", n, control.ErrOutOfTurn)
	}
	after, outcomes, err := before.Apply(n, records)
	if err != nil {
		return nil, fmt.Errorf("control %d: %w", n, err)
	}
	e.effects.add(n, effectsOf(before, records, outcomes))
	e.state.Store(after)
	e.swap(after, records, outcomes)
	if o := e.observer.Load(); o != nil {
		(*o).Applied(before, after, records, outcomes)
	}
	e.wake()
	return outcomes, nil
}

// CatchUp applies control numbers until there is none: the end of the log as of some moment after the call.
func (e *Engine) CatchUp(ctx context.Context) error {
	if err := e.takeTurn(ctx); err != nil {
		return err
	}
	defer e.giveTurn()
	return e.catchUp(ctx)
}

func (e *Engine) catchUp(ctx context.Context) error {
	for {
		n, asked := e.State().Next(), moment{time.Now(), boottime()}
		payload, err := slotlog.ReadControl(ctx, e.store, n)
		if errors.Is(err, slotlog.ErrHole) {
			if err := e.confirmEnd(ctx, n); err != nil {
				return err
			}
			e.reached.Store(&asked)
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.applyPayload(n, payload); err != nil {
			return err
		}
	}
}

// unsure says that the end of the control log was not reached for a while.
func (e *Engine) unsure() bool { return e.reached.Load().ago() > confirmAfter }

// confirmEnd asks of a control number that is not there whether the log ends before it, for an agent that was away: it may
// have been there and be deleted (G4). Such an agent is over.
func (e *Engine) confirmEnd(ctx context.Context, n topic.Slot) error {
	if !e.unsure() {
		return nil
	}
	err := isEndOfControl(ctx, e.store, n)
	if errors.Is(err, ErrForgotten) { // by now: a checkpoint stands for it
		err = fmt.Errorf("control %d was deleted, this agent was away for %v: %w", n, e.reached.Load().ago().Round(time.Second), slotlog.ErrFenced)
		e.stop(err)
	}
	return err
}

// isEndOfControl says whether a control number that was not there when it was asked for never was: ErrForgotten if it was.
// Numbers are deleted in order, but for number 0 (G4), so that the one before it tells.
func isEndOfControl(ctx context.Context, store objectstore.Store, n topic.Slot) error {
	if n == 0 {
		return nil // no cluster, or one that lost its identity (S5)
	}
	if n > 1 {
		there, err := slotlog.ControlThere(ctx, store, n-1)
		if err == nil && !there {
			err = fmt.Errorf("control %d: %w", n, ErrForgotten)
		}
		return err
	}
	var next topic.Slot
	err := store.List(ctx, slotlog.ControlPrefix, func(o objectstore.Info) error {
		if number, err := slotlog.ParseControlKey(o.Key); err == nil && number > 0 {
			next = number
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return fmt.Errorf("list the control log: %w", err)
	case next > 1:
		return fmt.Errorf("control 1 to %d: %w", next-1, ErrForgotten)
	}
	return nil
}

func (e *Engine) applyPayload(n topic.Slot, payload []byte) error {
	records, err := control.Decode(payload)
	if err != nil {
		return fmt.Errorf("control %d: %w", n, err)
	}
	_, err = e.apply(n, records)
	return err
}

// Follow keeps the control state up to date until ctx ends, waking on the doorbell and at least every 5 s (S6), every
// second while there is no index (R1). It returns early when this build cannot read the log any more, or must not go on:
// slotlog.ErrFenced when the log says that this agent's journal was sealed, or when its end was not reached for an hour
// (O3); slotlog.ErrImpostor; ErrContradiction.
func (e *Engine) Follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		_ = e.meta.Listen(ctx, func(k metadata.Kinds) {
			if k&metadata.KindControl != 0 {
				e.doorbell()
			}
		}) // ends with ctx; a lost doorbell costs a poll
	}()
	defer func() { cancel(); <-listening }()
	for {
		if err := e.over(); err != nil {
			return err
		}
		interval := pollControl
		if e.unwell.Load() {
			interval = pollUnwell
		}
		poll := time.NewTimer(interval - rand.N(interval/10))
		select {
		case <-ctx.Done():
			poll.Stop()
			return context.Cause(ctx)
		case <-e.bell:
		case <-poll.C:
		}
		poll.Stop()
		err := e.CatchUp(ctx)
		if errors.Is(err, control.ErrUnknownRecord) || errors.Is(err, control.ErrCorrupt) || errors.Is(err, slotlog.ErrCorrupt) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "control log not read", "next", e.State().Next(), "error", err)
		}
	}
}

// stop makes Follow end with err, unless it has a reason already.
func (e *Engine) stop(err error) {
	e.broken.CompareAndSwap(nil, &err)
	e.doorbell()
}

// Contradicted takes note that what counts does not fit the index in memory: Follow ends, and nothing is decided by that
// index any more (I7).
func (e *Engine) Contradicted(err error) { e.stop(fmt.Errorf("%w: %w", ErrContradiction, err)) }

// Sound says what keeps this agent from deciding anything by its index in memory, nil while it may.
func (e *Engine) Sound() error {
	if err := e.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// over says why this agent must not go on, by what it did and what the control log says.
func (e *Engine) over() error {
	if err := e.Sound(); err != nil {
		return err
	}
	if ago := e.reached.Load().ago(); ago > giveUpAfter && !e.cfg.Alone {
		return fmt.Errorf("the end of the control log was read %v ago, journal %s is given up: %w", ago.Round(time.Second), e.journal, slotlog.ErrFenced)
	}
	if e.State().Ended() {
		return ErrEnded
	}
	mine, ok := e.State().Journal(e.journal)
	if !ok || !mine.Sealed || e.leaving.Load() {
		return nil
	}
	by := "another agent"
	for j := range e.State().Journals() {
		if j.Opened == mine.SealedAt && j.ID != mine.ID {
			by = fmt.Sprintf("node %d (journal %s, %v)", j.NodeID, j.ID, j.Endpoints)
		}
	}
	return fmt.Errorf("journal %s was sealed by %s: %w", e.journal, by, slotlog.ErrFenced)
}

// doorbell makes Follow look again.
func (e *Engine) doorbell() {
	select {
	case e.bell <- struct{}{}:
	default:
	}
}

// readAll reads the control log from the next number to its end, many numbers at a time.
func (e *Engine) readAll(ctx context.Context) error {
	for {
		first, asked := e.State().Next(), moment{time.Now(), boottime()}
		err := e.readNumbers(ctx, first, first+readAhead, e.applyPayload)
		if errors.Is(err, slotlog.ErrHole) {
			if err := isEndOfControl(ctx, e.store, e.State().Next()); err != nil {
				return err
			}
			e.reached.Store(&asked)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readNumbers tells fn, in order, what the control numbers [from, to) hold. slotlog.ErrHole: there is an end before to, and fn
// was told of all below it.
func (e *Engine) readNumbers(ctx context.Context, from, to topic.Slot, fn func(n topic.Slot, payload []byte) error) error {
	type read struct {
		payload []byte
		err     error
	}
	for ; from < to; from += readAhead {
		batch := make([]chan read, min(readAhead, to-from))
		for i := range batch {
			batch[i] = make(chan read, 1)
			go func() {
				p, err := slotlog.ReadControl(ctx, e.store, from+topic.Slot(i))
				batch[i] <- read{p, err}
			}()
		}
		for i := range batch {
			r := <-batch[i]
			if r.err == nil {
				r.err = fn(from+topic.Slot(i), r.payload)
			}
			if r.err != nil {
				for _, rest := range batch[i+1:] {
					<-rest
				}
				return r.err
			}
		}
	}
	return nil
}
