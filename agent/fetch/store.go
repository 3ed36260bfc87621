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

// One GET brings a chunk of an object: whoever reads one partition of a segment soon reads the others. The cache must
// hold many of them, or readers at different places throw out each other's before they are used. An extent that is as
// large as a chunk is read by itself.
const (
	maxChunk = 4 << 20
	minChunk = 256 << 10
	chunks   = 32 // in the cache, at least
)

// chunkBytes is the size of chunks that suits a cache: a power of two.
func chunkBytes(cache int64) uint32 {
	size := uint32(maxChunk)
	for size > minChunk && int64(size)*chunks > cache {
		size /= 2
	}
	return size
}

// maxGets bounds the GETs under way, and with them the memory of answers that no cache holds yet.
const maxGets = 32

// chunkKey names an aligned part of a slot's object.
type chunkKey struct {
	journal topic.JournalID
	slot    topic.Slot
	chunk   uint32 // of Engine.chunkBytes each
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
	if x.Length < e.chunkBytes && &raw[len(raw)-1] == &stored[len(stored)-1] { // not packed: a part of the chunk, and would keep all of it alive
		raw = bytes.Clone(raw)
	}
	return raw, nil
}

// chunksOf gives the first and the last of the chunks that hold an extent.
func (e *Engine) chunksOf(x index.Entry) (from, to uint32) {
	return x.Position / e.chunkBytes, (x.Position + x.Length - 1) / e.chunkBytes
}

// forget drops the chunks of an extent.
func (e *Engine) forget(x index.Entry) {
	from, to := e.chunksOf(x)
	for c := from; c <= to; c++ {
		e.chunks.Drop(chunkKey{x.Journal, x.Slot, c})
	}
}

// stored gives an extent's bytes: a large one's by a GET of its own, else from the chunks that hold it.
func (e *Engine) stored(ctx context.Context, x index.Entry) ([]byte, error) {
	if x.Length >= e.chunkBytes {
		b, err := e.get(ctx, x.Journal, x.Slot, int64(x.Position), int64(x.Length))
		if err == nil && len(b) < int(x.Length) {
			err = short(len(b), x)
		}
		return b, err
	}
	from, to := e.chunksOf(x)
	chunks := make([][]byte, to-from+1)
	errs := make([]error, len(chunks))
	var wg sync.WaitGroup
	for i := range chunks {
		wg.Go(func() { chunks[i], errs[i] = e.chunk(ctx, chunkKey{x.Journal, x.Slot, from + uint32(i)}) })
	}
	wg.Wait()
	begin := x.Position - from*e.chunkBytes
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
		return nil, short(len(out), x)
	}
	return out, nil
}

func short(have int, x index.Entry) error {
	return fmt.Errorf("%d bytes at %d, want %d: %w", have, x.Position, x.Length, segment.ErrCorrupt)
}

func (e *Engine) chunk(ctx context.Context, k chunkKey) ([]byte, error) {
	return e.chunks.Load(ctx, k, func(ctx context.Context) ([]byte, int64, error) {
		b, err := e.get(ctx, k.journal, k.slot, int64(k.chunk)*int64(e.chunkBytes), int64(e.chunkBytes))
		return b, int64(len(b)), err
	})
}

// get reads a part of a slot's object from the bucket.
func (e *Engine) get(ctx context.Context, journal topic.JournalID, slot topic.Slot, at, n int64) ([]byte, error) {
	select {
	case e.gets <- struct{}{}:
		defer func() { <-e.gets }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	b, err := e.store.GetRange(ctx, slotlog.JournalKey(journal, slot), at, n)
	if errors.Is(err, objectstore.ErrRange) {
		err = fmt.Errorf("%w: %w", segment.ErrCorrupt, err) // the bytes of an extent are there
	}
	return b, err
}
