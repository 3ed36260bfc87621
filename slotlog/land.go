package slotlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/trace"
)

// ErrFenced says that the slot holds another body: the journal was sealed, or another writer took the number.
var ErrFenced = errors.New("fenced")

// ErrImpostor says that the slot holds our nonce with other bytes: a bug of ours or a cloned machine. The process
// must stop.
var ErrImpostor = errors.New("slot holds our nonce with other bytes")

// ErrChanged says that a body's bytes are not those it was frozen with: broken memory or a bug of ours. A store that
// checks refuses them for ever, so the journal ends here; what the slot holds its seal will tell.
var ErrChanged = errors.New("body changed since it was frozen")

// ErrLate says that a body was sent for so long that it may not be signed anew: what its key holds is unknown (O3).
var ErrLate = errors.New("sent for too long")

const (
	signAnew       = 10 * time.Minute // a signature is kept for so long; S3 takes it for 15 minutes (O3)
	firstRetry     = 20 * time.Millisecond
	tellAgain      = 30 * time.Second // between two lines in the log about one slot
	lastRetry      = 2 * time.Second
	overdue        = 3 * time.Second  // and some more for many bytes: then a PUT is thought lost, and a second one is sent in any case
	attemptTimeout = 15 * time.Second // of one PUT, and some more for many bytes; the next attempt sends the same bytes
	slowestLink    = 1 << 20          // bytes a second that a PUT is given time for
	lookAgain      = time.Second      // between two looks at the key of a PUT that is overdue
	lookPatience   = 2 * time.Second
	mostAtOnce     = 4 // PUTs of one body under way
)

// hedger says when a second PUT of the same bytes may be sent beside a late first one.
type hedger interface {
	// Delay is how long the first PUT is waited for.
	Delay() time.Duration
	// Allow takes one second PUT from the budget.
	Allow() bool
	// Note records how long a first PUT took that landed without a second one.
	Note(time.Duration)
}

// Control is whoever follows the control log for a journal's writer (O3).
type Control interface {
	// Stale says that the end of the control log was not reached for so long that nothing may be created.
	Stale() bool
	// CatchUp reads the control log to its end.
	CatchUp(ctx context.Context) error
}

// land stores a frozen body under key and returns only when it is decided what the key holds (I1): nil, this body;
// ErrFenced, another one; ErrImpostor. Or it returns the context's error, ErrChanged or ErrLate, and then it stays
// unknown: the slot is never used for other bytes (S1).
//
// All PUTs of a body carry the signature of the first one, so that the store itself refuses what comes much later than it
// was decided on, from a machine that slept, say. It is signed anew only after the control log was read to its end,
// without c never, and while c is stale nothing is sent at all (O3). What o says of the store shortens the pauses.
func land(ctx context.Context, store objectstore.Store, key string, f Frozen, h hedger, o uploader, c Control) error {
	wait := firstRetry
	var told time.Time
	for signed := time.Now().Round(0); ; { // by the wall clock, which goes on while a machine sleeps
		age := time.Now().Round(0).Sub(signed)
		late := age < 0 || age > signAnew
		var err error
		switch {
		case late && c == nil:
			return fmt.Errorf("create %s: %w", key, ErrLate)
		case late || c != nil && c.Stale():
			if err = c.CatchUp(ctx); err == nil {
				signed = time.Now().Round(0)
			}
		}
		if err == nil {
			err = attempt(objectstore.WithSigningTime(ctx, signed), store, key, f, h, o)
		}
		if errors.Is(err, objectstore.ErrExists) {
			err = compare(ctx, store, key, f.Digest)
		}
		if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrImpostor) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("create %s: %w", key, context.Cause(ctx))
		}
		if bad := f.Body.Check(); bad != nil {
			return fmt.Errorf("create %s: %w: %w", key, ErrChanged, bad)
		}
		if time.Since(told) >= tellAgain { // a bucket that is away for an hour must not fill the log
			slog.WarnContext(ctx, "slot not stored yet, sending the same bytes again", "key", key, "error", err)
			told = time.Now()
		}
		if err := pause(ctx, wait/2+rand.N(wait), o.ended()); err != nil {
			return fmt.Errorf("create %s: %w", key, err)
		}
		wait = min(2*wait, lastRetry)
		trace.From(ctx).Event("sent again")
	}
}

// attempt sends one PUT, and a second one beside it when the first is late and the budget allows it, or so late that it
// may be lost: everything behind the slot waits for it. While it is overdue the key is looked at, and when the store
// answers again that did not, be it another upload's request, the body is sent once more: what went out before may hang for
// long. It returns the first decisive answer, or an error when all were sent in vain, and waits for every call it made
// before it returns.
func attempt(ctx context.Context, store objectstore.Store, key string, f Frozen, h hedger, o uploader) error {
	transfer := time.Duration(f.Body.Size) * time.Second / slowestLink
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout+transfer)
	var looking sync.WaitGroup
	defer func() { cancel(); looking.Wait() }()
	there, back := make(chan struct{}), o.ended()
	looking.Go(func() {
		if look(ctx, store, key, o) {
			close(there)
		}
	})
	answers, sent, hedged := make(chan error, mostAtOnce), time.Now(), false
	put := func() { answers <- store.Create(ctx, key, f.Body) }
	go put()
	running := 1
	late, lost := time.NewTimer(h.Delay()), time.NewTimer(overdue+transfer)
	turn := time.NewTimer(time.Hour) // until an outage is over
	turn.Stop()
	defer late.Stop()
	defer lost.Stop()
	defer turn.Stop()
	again := func() {
		trace.From(ctx).Event("sent beside the one that is late")
		running++
		hedged = true
		go put()
	}
	var decided bool
	var result error
	decide := func(err error) {
		decided, result = true, err
		cancel()
	}
	for running > 0 {
		select {
		case <-late.C:
			if !decided && !hedged && h.Allow() {
				again()
			}
		case <-lost.C:
			if !decided && !hedged {
				again()
			}
		case <-there:
			there = nil
			if !decided { // the answer to a PUT was lost
				decide(fmt.Errorf("%s was seen: %w", key, objectstore.ErrExists))
			}
		case <-back:
			back = nil // once: a store that is overloaded comes and goes
			turn.Reset(time.Duration(o.before()) * outageStep)
		case <-turn.C:
			if !decided && running < mostAtOnce && time.Since(sent) >= overdue {
				again()
			}
		case err := <-answers:
			running--
			switch {
			case decided: // what was decided first stands
			case err == nil:
				if !hedged {
					h.Note(time.Since(sent))
				}
				o.answers()
				decide(nil)
			case errors.Is(err, objectstore.ErrExists):
				o.answers()
				decide(err)
			default:
				o.failed(sent)
				result = err
			}
		}
	}
	return result
}

// look asks for the key until ctx ends, once it is overdue, and says whether it was seen there. What it learns of the store
// it tells o.
func look(ctx context.Context, store objectstore.Store, key string, o uploader) bool {
	for wait := overdue; sleep(ctx, wait) == nil; wait = lookAgain {
		limited, cancel := context.WithTimeout(ctx, lookPatience)
		asked := time.Now()
		_, err := store.Head(limited, key)
		cancel()
		switch {
		case err == nil:
			o.answers()
			return true
		case errors.Is(err, objectstore.ErrNotFound):
			o.answers()
		case ctx.Err() == nil:
			o.failed(asked)
		}
	}
	return false
}

// compare reads what key holds and says whether it is the body d names.
func compare(ctx context.Context, store objectstore.Store, key string, d Digest) error {
	tail, err := trailer(ctx, store, key)
	if err != nil {
		return fmt.Errorf("compare %s: %w", key, err)
	}
	if _, have, err := ReadTrailer(tail); err == nil && have == d {
		return nil
	}
	// What ends the journal, or the process, the whole object must say: a trailer does not show damage on its way.
	whole, err := Read(ctx, store, key)
	switch have := whole.Digest; {
	case errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%s holds what is no slot (%w): %w", key, err, ErrFenced)
	case err != nil:
		return fmt.Errorf("compare: %w", err)
	case have == d:
		return nil
	case have.Nonce == d.Nonce:
		return fmt.Errorf("%s: length %d crc %08x, ours %d %08x: %w", key, have.Length, have.CRC32C, d.Length, d.CRC32C, ErrImpostor)
	}
	return fmt.Errorf("%s holds another's %s: %w", key, whole.Kind, ErrFenced)
}

func sleep(ctx context.Context, d time.Duration) error { return pause(ctx, d, nil) }

// pause sleeps until something is closed at the latest.
func pause(ctx context.Context, d time.Duration, until <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	case <-until:
		return nil
	}
}
