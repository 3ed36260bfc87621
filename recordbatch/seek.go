package recordbatch

import (
	"errors"
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Seek gives the rest of b from the first batch that holds an offset >= offset; it is empty if there is none. b is a
// row of whole batches in offset order, checked before. Errors: ErrTruncated, ErrMagic.
func Seek(b []byte, offset topic.Offset) ([]byte, error) {
	for len(b) > 0 {
		info, err := whole(b)
		if err != nil {
			return nil, err
		}
		if info.Next() > offset {
			return b, nil
		}
		b = b[info.Size:]
	}
	return b, nil
}

// Fit gives as many whole batches from the start of b as have at most maxBytes, but at least the first one: a
// consumer that gets half a batch sticks for ever. Errors: ErrTruncated, ErrMagic.
func Fit(b []byte, maxBytes int) ([]byte, error) {
	if len(b) <= maxBytes {
		return b, nil
	}
	at := 0
	for at < len(b) {
		info, err := whole(b[at:])
		if err != nil {
			return nil, err
		}
		if at > 0 && at+info.Size > maxBytes {
			break
		}
		at += info.Size
	}
	return b[:at:at], nil
}

// whole reads the first header of b and makes sure that the batch is all there.
func whole(b []byte) (Info, error) {
	info, err := Read(b)
	if err == nil && info.Size > len(b) {
		err = fmt.Errorf("%w: declared size %d, have %d", ErrTruncated, info.Size, len(b))
	}
	return info, err
}

// FindTime gives offset and timestamp of the first record at or behind from whose timestamp is >= ms, or ok=false if b
// has none. b is a row of whole batches. Only batches whose maximum timestamp reaches ms are unpacked, each to at most
// maxRaw bytes; of one that unpacks to more, its first offset and its maximum timestamp are the answer: whoever reads from
// there misses nothing. Transaction markers do not count. Errors: as Read's and Records'.
func FindTime(b []byte, from topic.Offset, ms int64, maxRaw int) (at topic.Offset, timestamp int64, ok bool, err error) {
	for len(b) > 0 {
		info, err := whole(b)
		if err != nil {
			return 0, 0, false, err
		}
		if info.MaxTimestamp >= ms && info.Next() > from && !info.IsControl() {
			for r, err := range Records(b[:info.Size], maxRaw) {
				if errors.Is(err, ErrTooLarge) {
					return max(info.BaseOffset, from), info.MaxTimestamp, true, nil
				}
				if err != nil {
					return 0, 0, false, err
				}
				if r.Offset >= from && r.Timestamp >= ms {
					return r.Offset, r.Timestamp, true, nil
				}
			}
		}
		b = b[info.Size:]
	}
	return 0, 0, false, nil
}
