package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

const (
	requestTimeout = 60 * time.Second // of one GET or PUT of a whole object
	tries          = 5                // of a request: what came damaged is asked for again like what did not come
	firstPause     = 50 * time.Millisecond
)

// insist makes a request until it succeeds, or its answer is one that stays.
func insist(ctx context.Context, request func(context.Context) error) error {
	wait := firstPause
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(ctx, requestTimeout)
		err := request(once)
		cancel()
		stays := errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, objectstore.ErrExists) || errors.Is(err, ErrVersion)
		if err == nil || stays || try == tries || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
		wait *= 3
	}
}

// get reads an object and gives its body as judge has checked it. Errors name the key.
func get(ctx context.Context, store objectstore.Store, key string, k kind, judge func(object, body []byte) error) error {
	err := insist(ctx, func(ctx context.Context) error {
		object, err := store.Get(ctx, key)
		if err != nil {
			return err
		}
		body, err := unpack(k, object)
		if err != nil {
			return err
		}
		return judge(object, body)
	})
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return fmt.Errorf("%s: %w", key, ErrMissing)
	case err != nil:
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// put stores an object. exists says that the key is taken, perhaps by an earlier call whose answer was lost.
func put(ctx context.Context, store objectstore.Store, key string, object []byte) (exists bool, err error) {
	body := objectstore.NewBody(object)
	err = insist(ctx, func(ctx context.Context) error { return store.Create(ctx, key, body) })
	if errors.Is(err, objectstore.ErrExists) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("create %s: %w", key, err)
	}
	return false, nil
}

// ReadHead reads a checkpoint's head, checked. Errors: ErrMissing, ErrCorrupt, ErrVersion, those of the store.
func ReadHead(ctx context.Context, store objectstore.Store, at topic.Slot, id control.CheckpointID) (*Head, error) {
	name := Name{at, id}
	var h *Head
	err := get(ctx, store, name.Key(), kindHead, func(_, body []byte) (err error) {
		h, err = decodeHead(body)
		if err == nil && h.Name() != name {
			err = fmt.Errorf("%w: head of %s", ErrCorrupt, h.Name())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// WriteHead stores a head; its parts must be there already. One that is there with the same contents is no error. After
// any other error it is unknown whether it was stored.
func WriteHead(ctx context.Context, store objectstore.Store, h *Head) error {
	body := h.Body()
	object, err := pack(kindHead, body)
	if err != nil {
		return err
	}
	exists, err := put(ctx, store, h.Name().Key(), object)
	if err != nil || !exists {
		return err
	}
	return get(ctx, store, h.Name().Key(), kindHead, func(_, there []byte) error { return same(there, body) })
}

// same asks that an object's body be the one that was computed.
func same(there, want []byte) error {
	if a, b := partID(there), partID(want); a != b {
		return fmt.Errorf("%w: %d bytes with hash %s, want %d with %s", ErrCorrupt, len(there), a, len(want), b)
	}
	return nil
}

// readPart reads a part, which must be the one that ref names.
func readPart(ctx context.Context, store objectstore.Store, ref PartRef) ([]Row, error) {
	var rows []Row
	err := get(ctx, store, ref.Key(), kindPart, func(object, body []byte) error {
		if int64(len(object)) != ref.Size || crcOf(object) != ref.CRC32C || int64(len(body)) != ref.Raw {
			return fmt.Errorf("%w: %d bytes of %d, crc %08x; head says %d of %d, %08x",
				ErrCorrupt, len(object), len(body), crcOf(object), ref.Size, ref.Raw, ref.CRC32C)
		}
		k, list, err := decodePart(body)
		if err != nil {
			return err
		}
		rows = list
		return ref.check(k, list)
	})
	return rows, err
}

// Part is a part that Compose made: its name, and what it holds.
type Part struct {
	PartRef
	Body []byte // before packing
}

// Write stores a part and gives its name with size and checksum. One that is there with the same contents is no error: it
// has the size and checksum that it was written with.
func (p Part) Write(ctx context.Context, store objectstore.Store) (PartRef, error) {
	object, err := pack(kindPart, p.Body)
	if err != nil {
		return PartRef{}, err
	}
	exists, err := put(ctx, store, p.Key(), object)
	if err != nil {
		return PartRef{}, err
	}
	if exists {
		return p.ReadBack(ctx, store)
	}
	p.Size, p.CRC32C = int64(len(object)), crcOf(object)
	return p.PartRef, nil
}

// ReadBack reads the part from the store and compares every byte of its body. It gives its name with size and checksum.
func (p Part) ReadBack(ctx context.Context, store objectstore.Store) (PartRef, error) {
	err := get(ctx, store, p.Key(), kindPart, func(object, body []byte) error {
		p.Size, p.CRC32C = int64(len(object)), crcOf(object)
		return same(body, p.Body)
	})
	if err != nil {
		return PartRef{}, err
	}
	return p.PartRef, nil
}

// Present asks the store whether the part is there, of the size that the head says, without reading it.
func (p PartRef) Present(ctx context.Context, store objectstore.Store) error {
	var info objectstore.Info
	err := insist(ctx, func(ctx context.Context) (err error) {
		info, err = store.Head(ctx, p.Key())
		return err
	})
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return fmt.Errorf("%s: %w", p.Key(), ErrMissing)
	case err != nil:
		return fmt.Errorf("%s: %w", p.Key(), err)
	case info.Size != p.Size:
		return fmt.Errorf("%s: %w: %d bytes, head says %d", p.Key(), ErrCorrupt, info.Size, p.Size)
	}
	return nil
}
