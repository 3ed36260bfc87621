package slotlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

const headInterval = 250 * time.Millisecond // one HEAD serves all that wait, at most 4 a second (O1)

// ProofSince returns nil when the journal was unsealed at some moment after asked (O1, for I7): either a slot that
// was sent later counts now, or a HEAD that was sent later found nothing at the first slot that does not count. A
// sealer goes up slot by slot and stops at the first that is free, so no seal can lie beyond.
func (w *Writer) ProofSince(ctx context.Context, asked time.Time) error {
	for {
		w.mu.Lock()
		switch {
		case w.err != nil:
			defer w.mu.Unlock()
			return w.err
		case !w.proved.Before(asked):
			w.mu.Unlock()
			return nil
		}
		pause := headInterval - time.Since(w.headed)
		changed := w.changed
		if !w.heading && pause <= 0 {
			w.heading, w.headed = true, time.Now()
			w.mu.Unlock()
			if err := w.head(ctx); err != nil {
				return err
			}
			continue
		}
		w.mu.Unlock()
		if err := waitEither(ctx, changed, max(pause, time.Millisecond)); err != nil {
			return err
		}
	}
}

// head looks at the first slot that does not count, on behalf of all that wait.
func (w *Writer) head(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(objectstore.Because(ctx, objectstore.ReasonProof), lookTimeout)
	defer cancel()
	w.mu.Lock()
	slot, sent := w.end, w.headed
	w.mu.Unlock()
	key := JournalKey(w.journal, slot)
	_, err := w.store.Head(ctx, key)
	free := errors.Is(err, objectstore.ErrNotFound)
	if err == nil { // ours that has just landed, or a seal
		err = w.checkSealed(ctx, slot)
	} else if free {
		err = nil
	} else {
		err = fmt.Errorf("head %s: %w", key, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heading = false
	if free && sent.After(w.proved) {
		w.proved = sent
	}
	w.wake()
	return err
}

// checkSealed ends the journal if slot holds a seal, or what this writer cannot have put there.
func (w *Writer) checkSealed(ctx context.Context, slot topic.Slot) error {
	key := JournalKey(w.journal, slot)
	tail, err := trailer(ctx, w.store, key)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	kind, _, err := ReadTrailer(tail)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	w.mu.Lock()
	ours := slot < w.next // given out: it may be our own body, whose answer is on its way
	w.mu.Unlock()
	if kind != Seal && ours {
		return nil
	}
	whole, err := Read(ctx, w.store, key) // a trailer alone does not show damage on its way
	if err != nil || whole.Kind == Data && ours {
		return err
	}
	return w.fail(fmt.Errorf("%s holds another's %s: %w", key, whole.Kind, ErrFenced))
}

func waitEither(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-changed:
	case <-t.C:
	}
	return nil
}
