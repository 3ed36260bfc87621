package objectstore

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Range resolves GetRange's offset and length against an object of size bytes into the half-open [from, to).
// The error is ErrRange, with all three numbers.
func Range(size, offset, length int64) (from, to int64, err error) {
	if offset < 0 {
		return max(0, size+offset), size, nil
	}
	if length <= 0 || offset >= size {
		return 0, 0, fmt.Errorf("%w: %d bytes at %d of %d", ErrRange, length, offset, size)
	}
	return offset, offset + min(length, size-offset), nil
}

// RangeHeader is the HTTP Range header of a GetRange. A length that is not positive is ErrRange.
func RangeHeader(offset, length int64) (string, error) {
	if offset < 0 {
		return fmt.Sprintf("bytes=%d", offset), nil
	}
	if length <= 0 || offset > math.MaxInt64-length {
		return "", fmt.Errorf("%w: %d bytes at %d", ErrRange, length, offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1), nil
}

// ReadBody reads the body of an HTTP answer of size bytes into one slice. An answer that ends early is
// io.ErrUnexpectedEOF. The size is a promise: memory is taken as bytes arrive when it is large.
func ReadBody(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	if size > maxPromised {
		data, err := io.ReadAll(r)
		if err == nil && int64(len(data)) < size {
			return nil, io.ErrUnexpectedEOF
		}
		return data, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	// The end of the answer must be read for the connection to be used again.
	var more [1]byte
	if n, _ := r.Read(more[:]); n > 0 {
		return nil, fmt.Errorf("answer is longer than the %d bytes it promised", size)
	}
	return data, nil
}

// maxPromised is the largest answer for which memory is taken before it came: a slot's size, and some.
const maxPromised = 80 << 20
