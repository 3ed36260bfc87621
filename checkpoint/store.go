package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// readPart reads a part, which must be the one that ref names: its twin, if the part itself cannot be read.
func readPart(ctx context.Context, store objectstore.Store, ref PartRef) ([]Row, error) {
	_, rows, err := readCopy(ctx, store, ref, ref.Key())
	if !unfit(err) {
		return rows, err
	}
	_, rows, twin := readCopy(ctx, store, ref, ref.Twin())
	if twin != nil {
		return nil, errors.Join(err, twin)
	}
	slog.WarnContext(ctx, "a part of a checkpoint cannot be read, its twin is", "error", err)
	return rows, nil
}

// unfit says whether an error is about what an object holds, or that there is none.
func unfit(err error) bool {
	return errors.Is(err, ErrMissing) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion)
}

// readCopy reads one of both objects of a part.
func readCopy(ctx context.Context, store objectstore.Store, ref PartRef, key string) (object []byte, rows []Row, err error) {
	err = get(ctx, store, key, kindPart, func(all, body []byte) error {
		if int64(len(all)) != ref.Size || crcOf(all) != ref.CRC32C || int64(len(body)) != ref.Raw {
			return fmt.Errorf("%w: %d bytes of %d, crc %08x; head says %d of %d, %08x",
				ErrCorrupt, len(all), len(body), crcOf(all), ref.Size, ref.Raw, ref.CRC32C)
		}
		k, list, err := decodePart(body)
		if err != nil {
			return err
		}
		object, rows = all, list
		return ref.check(k, list)
	})
	return object, rows, err
}

// Check reads both objects of a part, and gives what is wrong with each, by key.
func (p PartRef) Check(ctx context.Context, store objectstore.Store) map[string]error {
	wrong := make(map[string]error)
	for _, key := range p.Keys() {
		if _, _, err := readCopy(ctx, store, p, key); err != nil {
			wrong[key] = err
		}
	}
	return wrong
}

// Part is a part that Compose made: its name, and what it holds.
type Part struct {
	PartRef
	Body []byte // before packing
}

// Write stores a part, twice, and gives its name with size and checksum. One that is there with the same contents is no
// error: it has the size and checksum that it was written with.
func (p Part) Write(ctx context.Context, store objectstore.Store) (PartRef, error) {
	object, err := pack(kindPart, p.Body)
	if err != nil {
		return PartRef{}, err
	}
	exists, err := put(ctx, store, p.Key(), object)
	if err != nil {
		return PartRef{}, err
	}
	if exists { // perhaps packed by another build
		if object, err = p.readBack(ctx, store, p.Key()); err != nil {
			return PartRef{}, err
		}
	}
	p.Size, p.CRC32C = int64(len(object)), crcOf(object)
	if exists, err = put(ctx, store, p.Twin(), object); err == nil && exists {
		_, _, err = readCopy(ctx, store, p.PartRef, p.Twin())
	}
	if err != nil {
		return PartRef{}, err
	}
	return p.PartRef, nil
}

// ReadBack reads the part and its twin from the store and compares every byte of their bodies. It gives its name with size and
// checksum.
func (p Part) ReadBack(ctx context.Context, store objectstore.Store) (PartRef, error) {
	object, err := p.readBack(ctx, store, p.Key())
	if err != nil {
		return PartRef{}, err
	}
	p.Size, p.CRC32C = int64(len(object)), crcOf(object)
	if _, _, err := readCopy(ctx, store, p.PartRef, p.Twin()); err != nil {
		return PartRef{}, err
	}
	return p.PartRef, nil
}

func (p Part) readBack(ctx context.Context, store objectstore.Store, key string) (object []byte, err error) {
	err = get(ctx, store, key, kindPart, func(all, body []byte) error {
		object = all
		return same(body, p.Body)
	})
	return object, err
}

// Present asks the store whether the part and its twin are there, of the size that the head says, without reading them. If
// one of both is not, it is made anew from the other.
func (p PartRef) Present(ctx context.Context, store objectstore.Store) error {
	var bad []string
	var errs []error
	for _, key := range p.Keys() {
		if err := p.present(ctx, store, key); unfit(err) {
			bad, errs = append(bad, key), append(errs, err)
		} else if err != nil {
			return err
		}
	}
	switch len(bad) {
	case 0:
		return nil
	case 2:
		return errors.Join(errs...)
	}
	other := p.Key()
	if bad[0] == other {
		other = p.Twin()
	}
	object, _, err := readCopy(ctx, store, p, other)
	if err != nil {
		return errors.Join(errs[0], err)
	}
	// Whoever reads meanwhile has the other one: what is deleted here says nothing any more.
	if err := insist(ctx, func(ctx context.Context) error { return store.Delete(ctx, bad[0]) }); err != nil {
		return fmt.Errorf("delete damaged %s: %w", bad[0], err)
	}
	if _, err := put(ctx, store, bad[0], object); err != nil {
		return err
	}
	slog.WarnContext(ctx, "an object of a checkpoint was mended by its twin", "error", errs[0])
	return nil
}

func (p PartRef) present(ctx context.Context, store objectstore.Store, key string) error {
	var info objectstore.Info
	err := insist(ctx, func(ctx context.Context) (err error) {
		info, err = store.Head(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return fmt.Errorf("%s: %w", key, ErrMissing)
	case err != nil:
		return fmt.Errorf("%s: %w", key, err)
	case info.Size != p.Size:
		return fmt.Errorf("%s: %w: %d bytes, head says %d", key, ErrCorrupt, info.Size, p.Size)
	}
	return nil
}
