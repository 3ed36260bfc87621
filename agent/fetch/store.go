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
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// One GET of a slot brings an aligned chunk where others read the segment's other partitions, too: as large as what they asked
// for of the one before. Who scans one of a thousand partitions and is alone there reads its extents and nothing else. The
// cache must hold many of the largest chunks, or readers at different places throw out each other's before they are used. An
// extent that is as large as one is read by itself.
const (
	maxChunk = 4 << 20
	minChunk = 256 << 10
	chunks   = 32 // in the cache, at least

	leastChunk = 16 << 10
	growth     = 8       // times what was asked for of an object is read around the next extent that is
	fewExtents = 4       // fewer are read alone
	mostAsked  = 4096    // objects of which it is remembered
	mostPassed = 1 << 14 // partitions of which it is remembered where they were read last
)

// chunkBytes is the size of chunks that suits a cache: a power of two.
func chunkBytes(cache int64) uint32 {
	size := uint32(maxChunk)
	for size > minChunk && int64(size)*chunks > cache {
		size /= 2
	}
	return size
}

// maxGets bounds the GETs under way; their bytes are bounded by Config.getBytes.
const maxGets = 32

// located is an extent and what is known of how it is read.
type located struct {
	index.Entry
	run  extentKey        // that it is of; zero for one in a slot
	rows []segment.Extent // of its run, from this extent on; none for one in a slot, and where nothing is to be read ahead
	pace pace
}

func holder(x index.Entry) objectKey { return objectKey{x.Journal, x.Slot, x.Object} }

// storedAt is where an extent's bytes are.
func storedAt(x index.Entry) stretch {
	return stretch{object: holder(x), from: x.Position, to: x.Position + x.Length}
}

// extent gives an extent's batches as rows of whole batches: from the tail, from what was unpacked before, or from the
// bucket, where its CRC is checked (C2).
func (e *Engine) extent(ctx context.Context, p topic.Partition, x located) ([][]byte, error) {
	ctx, span := trace.Start(ctx, "extent", trace.Internal)
	key := extentKey{holder(x.Entry), x.Position}
	if rows, ok := e.tail.Get(key); ok {
		span.Text(tookFrom, "tail")
		span.End(nil)
		return rows, nil
	}
	span.Text(tookFrom, "catch_up") // until it turns out that it is not there
	rows, err := e.loaded(ctx, key, p, x)
	span.End(err)
	return rows, err
}

// tookFrom says in a span where an extent's batches came from: one of CacheNames, or the bucket.
const tookFrom = "odradek.from"

// loaded gives an extent's batches from what was unpacked before, or from the bucket.
func (e *Engine) loaded(ctx context.Context, key extentKey, p topic.Partition, x located) ([][]byte, error) {
	return e.extents.Load(ctx, key, func(ctx context.Context) ([][]byte, int64, error) {
		trace.From(ctx).Text(tookFrom, "bucket")
		size := min(int64(x.Length)+int64(x.RawLength), e.cfg.unpackBytes())
		if err := e.unpack.Acquire(ctx, size); err != nil {
			return nil, 0, err
		}
		defer e.unpack.Release(size)
		raw, err := e.unpacked(ctx, p, x)
		if errors.Is(err, segment.ErrCorrupt) {
			// The object may be whole and only its copy here be bad: drop that, and look at the bucket once more.
			e.spans.drop(storedAt(x.Entry))
			if raw, err = e.unpacked(ctx, p, x); err != nil {
				e.spans.drop(storedAt(x.Entry))
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", key.object, err)
		}
		return [][]byte{raw}, int64(len(raw)), nil
	})
}

// unpacked reads an extent's batches. Every byte of them is verified: block table, blocks, and each block's CRC (C2, I5).
func (e *Engine) unpacked(ctx context.Context, p topic.Partition, x located) ([]byte, error) {
	stored, alone, err := e.stored(ctx, p, x)
	if err != nil {
		return nil, err
	}
	raw, err := segment.ReadExtent(x.Extent(p), stored)
	if err != nil {
		return nil, err
	}
	if !alone && &raw[len(raw)-1] == &stored[len(stored)-1] { // not packed: a part of a span, and would keep all of it alive
		raw = bytes.Clone(raw)
	}
	return raw, nil
}

// stored gives an extent's bytes, and whether nothing else is in the memory that they lie in.
func (e *Engine) stored(ctx context.Context, p topic.Partition, x located) (b []byte, alone bool, err error) {
	at := storedAt(x.Entry)
	switch {
	case !x.Object.IsZero():
		b, err = e.spans.load(ctx, at, e.ahead(x), e.fetch)
	case x.Length >= e.chunkBytes:
		b, err = e.fetch(ctx, at)
		alone = true
	default:
		if size := e.around(p, x.Entry); size > 0 {
			b, err = e.chunked(ctx, at, size)
		} else {
			b, err = e.spans.load(ctx, at, func(around) (stretch, bool) { return at, false }, e.fetch)
		}
	}
	if err == nil && len(b) < int(x.Length) {
		err = fmt.Errorf("%d bytes at %d, want %d: %w", len(b), x.Position, x.Length, segment.ErrCorrupt)
	}
	return b, alone, err
}

// around gives the size of the chunks that an extent of a slot is read in, a power of two; 0: it is read alone. It notes that
// the extent was asked for.
func (e *Engine) around(p topic.Partition, x index.Entry) uint32 {
	object := holder(x)
	here, _ := e.asked.Get(object)
	wanted := growth * here
	if last, ok := e.passed.Get(p); ok && last != object {
		if before, ok := e.asked.Get(last); ok {
			wanted = before
		}
	}
	e.asked.Drop(object)
	e.asked.Put(object, here+int64(x.Length), 1)
	e.passed.Drop(p)
	e.passed.Put(p, object, 1)
	if wanted < fewExtents*int64(x.Length) {
		return 0
	}
	size := uint32(leastChunk)
	for size < e.chunkBytes && int64(size) < wanted {
		size *= 2
	}
	return size
}

// chunked gives bytes of a slot's object from the chunks of a size that hold them.
func (e *Engine) chunked(ctx context.Context, at stretch, size uint32) ([]byte, error) {
	first, last := at.from/size, (at.to-1)/size
	parts := make([][]byte, last-first+1)
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i := range parts {
		begin := (first + uint32(i)) * size
		chunk := stretch{at.object, begin, begin + size}
		part := stretch{at.object, max(at.from, chunk.from), min(at.to, chunk.to)}
		wg.Go(func() {
			parts[i], errs[i] = e.spans.load(ctx, part, func(around) (stretch, bool) { return chunk, false }, e.fetch)
		})
	}
	wg.Wait()
	if len(parts) == 1 || errors.Join(errs...) != nil {
		return parts[0], errors.Join(errs...)
	}
	return bytes.Join(parts, nil), nil
}

// fetch reads a part of an object from the bucket.
func (e *Engine) fetch(ctx context.Context, at stretch) ([]byte, error) {
	select {
	case e.gets <- struct{}{}:
		defer func() { <-e.gets }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	n := int64(at.to) - int64(at.from)
	held := min(n, e.cfg.getBytes())
	if err := e.flight.Acquire(ctx, held); err != nil {
		return nil, err
	}
	defer e.flight.Release(held)
	b, err := e.store.GetRange(ctx, at.object.String(), int64(at.from), n)
	if errors.Is(err, objectstore.ErrRange) {
		err = fmt.Errorf("%w: %w", segment.ErrCorrupt, err) // the bytes that are asked for are there
	}
	return b, err
}
