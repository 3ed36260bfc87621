package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// chunkBytes is how much of an object one GET brings: whoever reads one partition of a segment soon reads the others.
const chunkBytes = 4 << 20

// maxGets bounds the GETs under way, and with them the memory of answers that no cache holds yet.
const maxGets = 32

// chunkKey names an aligned part of a slot's object.
type chunkKey struct {
	journal topic.JournalID
	slot    topic.Slot
	chunk   uint32 // [chunk*chunkBytes, (chunk+1)*chunkBytes)
}

// extent gives an extent's batches as rows of whole batches: from the tail, from what was unpacked before, or from the
// bucket, where its CRC is checked (C2).
func (e *Engine) extent(ctx context.Context, p topic.Partition, x index.Entry) ([][]byte, error) {
	key := extentKey{x.Journal, x.Slot, x.Position}
	if rows, ok := e.tail.Get(key); ok {
		return rows, nil
	}
	return e.extents.Load(ctx, key, func(ctx context.Context) ([][]byte, int64, error) {
		size := min(int64(x.Length)+int64(x.RawLength), e.cfg.unpackBytes())
		if err := e.unpack.Acquire(ctx, size); err != nil {
			return nil, 0, err
		}
		defer e.unpack.Release(size)
		raw, err := e.unpacked(ctx, p, x)
		if errors.Is(err, segment.ErrCorrupt) {
			// The object may be whole and only its copy here be bad: drop that, and look at the bucket once more.
			e.forget(x)
			if raw, err = e.unpacked(ctx, p, x); err != nil {
				e.forget(x)
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", slotlog.JournalKey(x.Journal, x.Slot), err)
		}
		return [][]byte{raw}, int64(len(raw)), nil
	})
}

// unpacked reads an extent's batches. Every byte of them is verified: block table, blocks, and each block's CRC (C2, I5).
func (e *Engine) unpacked(ctx context.Context, p topic.Partition, x index.Entry) ([]byte, error) {
	stored, err := e.stored(ctx, x)
	if err != nil {
		return nil, err
	}
	raw, err := segment.ReadExtent(x.Extent(p), stored)
	if err != nil {
		return nil, err
	}
	if &raw[len(raw)-1] == &stored[len(stored)-1] { // not packed: a part of the chunk, and would keep all of it alive
		raw = bytes.Clone(raw)
	}
	return raw, nil
}

// chunksOf gives the first and the last of the chunks that hold an extent.
func chunksOf(x index.Entry) (from, to uint32) {
	return x.Position / chunkBytes, (x.Position + x.Length - 1) / chunkBytes
}

// forget drops the chunks of an extent.
func (e *Engine) forget(x index.Entry) {
	from, to := chunksOf(x)
	for c := from; c <= to; c++ {
		e.chunks.Drop(chunkKey{x.Journal, x.Slot, c})
	}
}

// stored puts an extent's bytes together from the chunks that hold it.
func (e *Engine) stored(ctx context.Context, x index.Entry) ([]byte, error) {
	from, to := chunksOf(x)
	chunks := make([][]byte, to-from+1)
	errs := make([]error, len(chunks))
	var wg sync.WaitGroup
	for i := range chunks {
		wg.Go(func() { chunks[i], errs[i] = e.chunk(ctx, chunkKey{x.Journal, x.Slot, from + uint32(i)}) })
	}
	wg.Wait()
	begin := x.Position - from*chunkBytes
	if len(chunks) == 1 && errs[0] == nil && uint64(len(chunks[0])) >= uint64(begin)+uint64(x.Length) {
		return chunks[0][begin : begin+x.Length], nil
	}
	out := make([]byte, 0, x.Length)
	for i, c := range chunks {
		if errs[i] != nil {
			return nil, errs[i]
		}
		c = c[min(int(begin), len(c)):]
		begin = 0
		out = append(out, c[:min(len(c), int(x.Length)-len(out))]...)
	}
	if len(out) < int(x.Length) {
		return nil, fmt.Errorf("%d bytes at %d, want %d: %w", len(out), x.Position, x.Length, segment.ErrCorrupt)
	}
	return out, nil
}

func (e *Engine) chunk(ctx context.Context, k chunkKey) ([]byte, error) {
	return e.chunks.Load(ctx, k, func(ctx context.Context) ([]byte, int64, error) {
		select {
		case e.gets <- struct{}{}:
			defer func() { <-e.gets }()
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
		b, err := e.store.GetRange(ctx, slotlog.JournalKey(k.journal, k.slot), int64(k.chunk)*chunkBytes, chunkBytes)
		if errors.Is(err, objectstore.ErrRange) {
			err = fmt.Errorf("%w: %w", segment.ErrCorrupt, err) // a chunk that an extent lies in is there
		}
		return b, int64(len(b)), err
	})
}
