package segment

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Codec is how a block is packed.
type Codec uint8

// The codecs, by the number that stands in block tables.
const (
	None Codec = iota
	S2
	Zstd
)

func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case S2:
		return "s2"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// ParseCodec reads what String wrote.
func ParseCodec(s string) (Codec, error) {
	for _, c := range []Codec{None, S2, Zstd} {
		if s == c.String() {
			return c, nil
		}
	}
	return None, fmt.Errorf("compression %q: want s2, zstd or none", s)
}

var (
	zstdEncoders = sync.Pool{New: newZstdEncoder}
	zstdDecoders = sync.Pool{New: newZstdDecoder}
)

func newZstdEncoder() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(packedBlockRaw), zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true)) // the frame says its size, however short
	if err != nil {
		panic(err) // only wrong options
	}
	return e
}

func newZstdDecoder() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // only wrong options
	}
	return d
}

// pack compresses raw, at most packedBlockRaw bytes, into dst if it has the capacity. The result may be longer than raw.
func (c Codec) pack(dst, raw []byte) []byte {
	switch c {
	case S2:
		return s2.Encode(dst[:cap(dst)], raw)
	case Zstd:
		e := zstdEncoders.Get().(*zstd.Encoder)
		defer zstdEncoders.Put(e)
		return e.EncodeAll(raw, dst[:0])
	}
	return raw
}

// unpack decompresses stored into dst, whose length is what must come out.
func (c Codec) unpack(dst, stored []byte) error {
	var out []byte
	var err error
	switch c {
	case None:
		out = dst[:copy(dst, stored)]
	case S2:
		if n, lenErr := s2.DecodedLen(stored); lenErr != nil || n != len(dst) {
			return fmt.Errorf("%w: s2 unpacks to %d bytes, want %d", ErrCorrupt, n, len(dst))
		}
		out, err = s2.Decode(dst, stored)
	case Zstd:
		// The size is compared first: the decoder would find out late.
		var h zstd.Header
		if hErr := h.Decode(stored); hErr != nil || !h.HasFCS || h.FrameContentSize != uint64(len(dst)) {
			return fmt.Errorf("%w: zstd unpacks to %d bytes, want %d", ErrCorrupt, h.FrameContentSize, len(dst))
		}
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		out, err = d.DecodeAll(stored, dst[:0:len(dst)])
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
	if len(out) != len(dst) {
		return fmt.Errorf("%w: %s unpacks to %d bytes, want %d", ErrCorrupt, c, len(out), len(dst))
	}
	return nil
}

// arena hands out memory for packed blocks and tables in chunks that are used again after Release.
type arena struct {
	chunks []*[chunkBytes]byte
	free   []byte // rest of the last chunk
}

const chunkBytes = 512 << 10

var chunkPool = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// room gives an empty slice with a capacity of at least n. What is used of it is taken by take.
func (a *arena) room(n int) []byte {
	if n > chunkBytes {
		return make([]byte, 0, n)
	}
	if len(a.free) < n {
		c := chunkPool.Get().(*[chunkBytes]byte)
		a.chunks = append(a.chunks, c)
		a.free = c[:]
	}
	return a.free[:0:len(a.free)]
}

// take keeps used, which begins where the last room did, unless it grew out of it into memory of its own.
func (a *arena) take(used []byte) []byte {
	if len(used) > 0 && len(a.free) > 0 && &used[0] == &a.free[0] {
		a.free = a.free[len(used):]
	}
	return used[:len(used):len(used)]
}

func (a *arena) release() {
	for _, c := range a.chunks {
		chunkPool.Put(c)
	}
	a.chunks, a.free = nil, nil
}
