package slotlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// ErrHole says that there is nothing where a slot was expected.
var ErrHole = errors.New("no object in this slot")

const (
	readTimeout = 30 * time.Second // of one GET of a whole object
	lookTimeout = 5 * time.Second  // of a HEAD, and of a GET of a trailer: one that hangs must not hold all that wait
	readTries   = 5                // a boot reads thousands of objects: it must not fall over one bad answer
)

// Read gets a whole object of a slotted log, checked. ErrHole: there is none.
func Read(ctx context.Context, store objectstore.Store, key string) (Envelope, error) {
	var e Envelope
	err := insist(ctx, readTimeout, func(ctx context.Context) error {
		b, err := store.Get(ctx, key)
		if err == nil {
			e, err = Open(b)
		}
		return err
	})
	if err != nil {
		return Envelope{}, missing(key, err)
	}
	return e, nil
}

// Tail gets the last n bytes of an object, or all of a shorter one: where a payload's footer and the trailer are.
// ErrHole: there is no object.
func Tail(ctx context.Context, store objectstore.Store, key string, n int64) ([]byte, error) {
	var tail []byte
	err := insist(ctx, readTimeout, func(ctx context.Context) (err error) {
		tail, err = store.GetRange(ctx, key, -n, 0)
		return err
	})
	if err != nil {
		return nil, missing(key, err)
	}
	return tail, nil
}

// there says whether a slot of a journal has an object.
func there(ctx context.Context, store objectstore.Store, j topic.JournalID, s topic.Slot) (bool, error) {
	return thereAt(ctx, store, JournalKey(j, s))
}

func thereAt(ctx context.Context, store objectstore.Store, key string) (bool, error) {
	err := insist(ctx, lookTimeout, func(ctx context.Context) error {
		_, err := store.Head(ctx, key)
		return err
	})
	if errors.Is(err, objectstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// readKind says what a slot that has an object holds. A trailer does not show damage on its way: that a journal ends here
// is believed only when the whole object says so.
func readKind(ctx context.Context, store objectstore.Store, key string) (Kind, error) {
	var kind Kind
	err := insist(ctx, lookTimeout, func(ctx context.Context) error {
		tail, err := store.GetRange(ctx, key, -TrailerSize, 0)
		if err == nil {
			kind, _, err = ReadTrailer(tail)
		}
		return err
	})
	switch {
	case err != nil:
		return 0, missing(key, err)
	case kind == Seal:
		e, err := Read(ctx, store, key)
		return e.Kind, err
	}
	return kind, nil
}

// trailer gets the last bytes of an object, once.
func trailer(ctx context.Context, store objectstore.Store, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return store.GetRange(ctx, key, -TrailerSize, 0)
}

// insist reads until there is an answer: the object, or that there is none. Bytes that were damaged on their way are
// asked for again like those that did not come.
func insist(ctx context.Context, timeout time.Duration, read func(context.Context) error) error {
	wait := firstRetry
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(ctx, timeout)
		err := read(once)
		cancel()
		if err == nil || errors.Is(err, objectstore.ErrNotFound) || try == readTries || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
		wait *= 4
	}
}

// missing names the object in an error.
func missing(key string, err error) error {
	if errors.Is(err, objectstore.ErrNotFound) {
		return fmt.Errorf("%s: %w", key, ErrHole)
	}
	return fmt.Errorf("read %s: %w", key, err)
}
