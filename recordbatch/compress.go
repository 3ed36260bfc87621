package recordbatch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compress packs raw behind dst as Kafka's Java producer does with its defaults, so that every client reads it: snappy in
// the framing of the Java library in blocks of 32 KiB, lz4 as frames of independent blocks of 64 KiB, zstd and gzip as one
// frame. None copies. dst and raw must not overlap. Error: ErrAttributes for a codec that is none, dst is unchanged then.
func Compress(dst []byte, codec Codec, raw []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, raw...), nil
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		return packStream(dst, raw, w), nil
	case Snappy:
		return appendXerial(dst, raw), nil
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		return packStream(dst, raw, w), nil
	case Zstd:
		e := zstdEncoders.Get().(*zstd.Encoder)
		defer zstdEncoders.Put(e)
		return e.EncodeAll(raw, dst), nil
	}
	return dst, fmt.Errorf("%w: codec %d", ErrAttributes, codec)
}

var (
	gzipWriters  = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Writers   = sync.Pool{New: newLZ4Writer}
	zstdEncoders = sync.Pool{New: newZstdEncoder}
)

// zstdWindow is what zstd's own level 3 takes; a decoder needs no more memory than that.
const zstdWindow = 2 << 20

func newZstdEncoder() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic(err) // only wrong options
	}
	return e
}

func newLZ4Writer() any {
	w := lz4.NewWriter(nil)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1)); err != nil {
		panic(err) // only wrong options
	}
	return w
}

// streamWriter is what the writers of gzip and lz4 have in common.
type streamWriter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

func packStream(dst, raw []byte, w streamWriter) []byte {
	buf := bytes.NewBuffer(dst)
	w.Reset(buf)
	_, err := w.Write(raw)
	if err == nil {
		err = w.Close()
	}
	w.Reset(io.Discard) // the pool must not hold the buffer
	if err != nil {
		panic(err) // a buffer takes all there is
	}
	return buf.Bytes()
}

// xerialBlock is how much of the records a block of the Java snappy library's framing holds, unpacked.
const xerialBlock = 32 << 10

func appendXerial(dst, raw []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1) // version, and the oldest that can read it
	for len(raw) > 0 {
		n := min(len(raw), xerialBlock)
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = appendSnappyBlock(dst, raw[:n])
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		raw = raw[n:]
	}
	return dst
}

func appendSnappyBlock(dst, raw []byte) []byte {
	most := s2.MaxEncodedLen(len(raw))
	if cap(dst)-len(dst) < most {
		dst = append(make([]byte, 0, 2*cap(dst)+most), dst...)
	}
	return dst[:len(dst)+len(s2.EncodeSnappy(dst[len(dst):len(dst)+most], raw))]
}
