package objectstore

import "fmt"

// Range resolves GetRange's offset and length against an object of size bytes into the half-open [from, to).
// The error is ErrRange, with all three numbers.
func Range(size, offset, length int64) (from, to int64, err error) {
	if offset < 0 {
		return max(0, size+offset), size, nil
	}
	if length <= 0 || offset > size || length > size-offset {
		return 0, 0, fmt.Errorf("%w: %d bytes at %d of %d", ErrRange, length, offset, size)
	}
	return offset, offset + length, nil
}
