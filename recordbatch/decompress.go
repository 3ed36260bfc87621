package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Decompress unpacks the records of a batch to at most maxRaw bytes. The caller owns the result, except with None,
// which gives src itself. Errors: ErrTooLarge beyond maxRaw, ErrRecord for malformed bytes, ErrAttributes.
func Decompress(codec Codec, src []byte, maxRaw int) ([]byte, error) {
	var raw []byte
	var err error
	switch codec {
	case None:
		raw = src
	case Gzip:
		raw, err = gunzip(src, maxRaw)
	case Snappy:
		raw, err = unsnappy(src, maxRaw)
	case LZ4:
		raw, err = unlz4(src, maxRaw)
	case Zstd:
		raw, err = unzstd(src, maxRaw)
	default:
		return nil, fmt.Errorf("%w: codec %d", ErrAttributes, codec)
	}
	switch {
	case errors.Is(err, ErrTooLarge), err == nil && len(raw) > maxRaw:
		return nil, fmt.Errorf("%w: %s unpacks to more than %d bytes", ErrTooLarge, codec, maxRaw)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, codec, err)
	}
	return raw, nil
}

var (
	gzipReaders  = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers   = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdDecoders = sync.Pool{New: newZstdDecoder}
)

func gunzip(src []byte, maxRaw int) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	return readUpTo(r, len(src), maxRaw)
}

func unlz4(src []byte, maxRaw int) ([]byte, error) {
	r := lz4Readers.Get().(*lz4.Reader)
	defer lz4Readers.Put(r)
	r.Reset(bytes.NewReader(src))
	return readUpTo(r, len(src), maxRaw)
}

// readUpTo reads all of r, at most maxRaw bytes; the buffer grows with what has been read, not with what is declared.
func readUpTo(r io.Reader, packed, maxRaw int) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(min(4*packed, maxRaw) + bytes.MinRead)
	if _, err := buf.ReadFrom(io.LimitReader(r, int64(maxRaw)+1)); err != nil {
		return nil, err
	}
	if buf.Len() > maxRaw {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

// xerialMagic opens the framing of the Java snappy library, which Kafka's Java clients use: 8 bytes of magic, version
// and compatible version of 4 bytes each, then blocks behind their length.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

func unsnappy(src []byte, maxRaw int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) || len(src) < xerialHeader {
		return appendSnappy(nil, src, maxRaw)
	}
	var raw []byte
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if raw, err = appendSnappy(raw, src[:n], maxRaw); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return raw, nil
}

// appendSnappy unpacks one block behind raw. A block of n bytes cannot hold more than 64 n: a copy of three bytes gives
// at most 64, so that a lying length does not allocate.
func appendSnappy(raw, block []byte, maxRaw int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if n > maxRaw-len(raw) {
		return nil, ErrTooLarge
	}
	if n > 64*len(block) {
		return nil, s2.ErrCorrupt
	}
	if raw == nil {
		return s2.Decode(nil, block)
	}
	part, err := s2.Decode(nil, block)
	return append(raw, part...), err
}

// Decoders whose frames want a window up to zstdPooledWindow are kept for the next call. Larger windows, as the highest
// levels use them, are allowed up to the format's own recommendation for decoders.
const (
	zstdPooledWindow = 8 << 20
	zstdMaxWindow    = 128 << 20
)

func newZstdDecoder() any {
	// Without the last option the decoder would unpack a short input whole, before any cap is seen.
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		panic(err) // only wrong options
	}
	return d
}

func unzstd(src []byte, maxRaw int) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(src); err != nil {
		return nil, err
	}
	d := zstdDecoders.Get().(*zstd.Decoder)
	if header.WindowSize <= zstdPooledWindow {
		defer zstdDecoders.Put(d)
	} else {
		defer d.Close()
	}
	if err := d.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	return readUpTo(d, len(src), maxRaw)
}
