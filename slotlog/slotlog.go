package slotlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// ErrClosed says that the writer was stopped by its owner.
var ErrClosed = errors.New("journal closed")

// Writer is the writing end of one journal: the numbered chain of objects that exactly one running agent appends to.
//
// A slot's life: Next gives its number, once fewer than window slots are in flight; its bytes are frozen; Land hands
// them over; an upload sends them until the bucket has decided (S1); it has landed; when no slot below it is missing,
// it counts (I2). Up to window uploads run side by side and land in any order, but slots count in order: the end only
// ever moves over landed slots without a gap. Nothing may be acked, shown or indexed before its slot counts (I4).
//
// Next is called by one goroutine; everything else may be called concurrently.
type Writer struct {
	store   objectstore.Store
	journal topic.JournalID
	window  int // K: slots in flight at most (S2), as written in JOURNAL_OPEN
	hedge   hedge
	outage  outage  // what uploads tell each other of the store
	control Control // nil: nobody else can be there
	told    func(put time.Duration)
	uploads chan upload

	mu      sync.Mutex               // guards all below
	next    topic.Slot               // next number to give out; next <= end + window
	end     topic.Slot               // every slot below counts; the design's D is end - 1
	landed  map[topic.Slot]time.Time // slots above end that landed, with the time their first PUT was sent
	proved  time.Time                // the journal was unsealed at this time or later (O1)
	heading bool                     // a HEAD is under way
	headed  time.Time                // when the last HEAD was sent
	moved   time.Time                // when end moved, or a slot was given out while none was in flight
	err     error                    // why the journal is over; nothing counts from then on
	changed chan struct{}            // closed and replaced whenever next, end, proved, heading or err changes
	over    chan struct{}            // closed when err is set
}

type upload struct {
	slot topic.Slot
	body Frozen
}

type outcome struct {
	slot topic.Slot
	sent time.Time
	err  error
}

// NewWriter makes the writer of a journal that was just opened: its first slot is 0. Nothing happens before Run.
func NewWriter(store objectstore.Store, journal topic.JournalID, window int) *Writer {
	return &Writer{
		store:   store,
		journal: journal,
		window:  window,
		uploads: make(chan upload, window),
		landed:  make(map[topic.Slot]time.Time),
		changed: make(chan struct{}),
		over:    make(chan struct{}),
	}
}

// Heed makes the writer send nothing while c is stale, and sign nothing anew before c has read the control log to its end
// (O3). Called before Run. Without it what was sent for too long ends the journal.
func (w *Writer) Heed(c Control) { w.control = c }

// Tell has each slot's upload told to fn when it landed: how long that took, repeats included. fn may be called
// concurrently. Called before Run.
func (w *Writer) Tell(fn func(put time.Duration)) { w.told = fn }

// Run uploads what Land hands over, until ctx ends or the journal is fenced, and returns why. counted is called from
// this goroutine, in order, each time the end moved: every slot below end counts then. Run waits for all its uploads;
// what had not landed when ctx ended is unknown, and whoever opens the next journal finds out by sealing this one.
func (w *Writer) Run(ctx context.Context, counted func(end topic.Slot)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	outcomes := make(chan outcome)
	running := 0
	defer func() {
		cancel(ErrClosed)
		for ; running > 0; running-- {
			<-outcomes
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return w.fail(fmt.Errorf("%w: %w", ErrClosed, context.Cause(ctx)))
		case <-w.over: // a proof met the seal
			return w.Err()
		case u := <-w.uploads:
			running++
			go func() { outcomes <- w.upload(ctx, u) }()
		case o := <-outcomes:
			running--
			if o.err != nil {
				return w.fail(o.err)
			}
			if end, moved := w.count(o); moved {
				counted(end) // I4: acks, visibility and the index hang on this call alone
			}
		}
	}
}

func (w *Writer) upload(ctx context.Context, u upload) outcome {
	sent := time.Now()
	ctx, span := trace.Start(trace.With(ctx, u.body.Span), "upload", trace.Internal)
	err := land(ctx, w.store, JournalKey(w.journal, u.slot), u.body, &w.hedge, uploader{&w.outage, func() int { return w.before(u.slot) }}, w.control)
	span.End(err)
	if err == nil && w.told != nil {
		w.told(time.Since(sent))
	}
	return outcome{slot: u.slot, sent: sent, err: err}
}

// before counts the slots below one that did not land yet.
func (w *Writer) before(slot topic.Slot) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for s := w.end; s < slot; s++ {
		if _, landed := w.landed[s]; !landed {
			n++
		}
	}
	return n
}

// count notes a landed slot and moves the end over every slot that has no gap below it (I2).
func (w *Writer) count(o outcome) (end topic.Slot, moved bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.landed[o.slot] = o.sent
	for {
		sent, ok := w.landed[w.end]
		if !ok {
			break
		}
		delete(w.landed, w.end)
		w.end++ // I2: data, and no hole below
		moved = true
		if sent.After(w.proved) {
			w.proved = sent // O1: only a slot that counts proves anything; one above a hole may lie behind a seal
		}
	}
	if moved {
		w.moved = time.Now()
		w.wake()
	}
	return w.end, moved
}

// Next waits until fewer than window slots are in flight and gives the next slot's number. The caller must Land that
// slot or let the journal end: a number that was given out is never skipped (S1).
func (w *Writer) Next(ctx context.Context) (topic.Slot, error) {
	var slot topic.Slot
	err := w.wait(ctx, func() bool {
		if w.next >= w.end+topic.Slot(w.window) {
			return false
		}
		if w.next == w.end {
			w.moved = time.Now()
		}
		slot = w.next
		w.next++
		return true
	})
	return slot, err
}

// Land hands a slot's frozen body over for upload: from now on the slot is this body's for ever, or another writer's
// (I1). It does not block: no more than window slots are given out.
func (w *Writer) Land(slot topic.Slot, body Frozen) {
	w.uploads <- upload{slot: slot, body: body}
}

// Drained waits until every slot given out counts.
func (w *Writer) Drained(ctx context.Context) error {
	return w.wait(ctx, func() bool { return w.end == w.next })
}

// End gives the first slot that does not count.
func (w *Writer) End() topic.Slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// InFlight gives how many slots were given out and do not count yet.
func (w *Writer) InFlight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.next - w.end)
}

// Stuck gives for how long slots have been in flight and none came to count.
func (w *Writer) Stuck() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == w.end {
		return 0
	}
	return time.Since(w.moved)
}

// Err says why the journal is over, or nil while it lives.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// wait blocks until ready, called with the lock held, is true, the journal is over, or ctx ends.
func (w *Writer) wait(ctx context.Context, ready func() bool) error {
	for {
		w.mu.Lock()
		if w.err != nil {
			defer w.mu.Unlock()
			return w.err
		}
		if ready() {
			defer w.mu.Unlock()
			return nil
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// fail ends the journal; the first reason stands.
func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.over)
		w.wake()
	}
	return w.err
}

// wake tells all waiters to look again. The lock is held.
func (w *Writer) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}
