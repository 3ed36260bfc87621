package segment

import (
	"errors"
	"fmt"

	"github.com/odradek/odradek/recordbatch"
)

// Verify reads a whole payload and checks all that can be checked without knowing its neighbours: header, footer, every
// block, every batch, and that extents and batches say the same. It gives the footer, and all errors found, joined.
func Verify(payload []byte) (Footer, error) { return VerifyEach(payload, nil) }

// VerifyEach is Verify, and tells each of the batches of extents that are in order, with its extent.
func VerifyEach(payload []byte, each func(Extent, recordbatch.Info)) (Footer, error) {
	f, err := ReadFooter(payload, int64(len(payload)))
	if err != nil {
		return Footer{}, err
	}
	var all []error
	if have, want := payload[:headerSize], appendVersion([]byte(headerMagic)); string(have) != string(want) {
		all = append(all, fmt.Errorf("%w: header %x, want %x", ErrCorrupt, have, want))
	}
	for i, e := range f.Extents {
		raw, err := ReadExtent(e, payload[e.Position:e.Position+e.Length])
		if err == nil {
			err = CheckBatches(e, raw)
		}
		if err == nil && each != nil {
			err = eachHeader(raw, func(info recordbatch.Info) { each(e, info) })
		}
		if err != nil {
			all = append(all, fmt.Errorf("extent %d: %w", i, err))
		}
	}
	return f, errors.Join(all...)
}

// CheckBatches checks the batches of e, as ReadExtent gives them: each is whole and has the CRC it says and the epoch of
// the extent, and together they cover [Base, Next) up to MaxTimestamp. Errors: ErrCorrupt, or why recordbatch refuses.
func CheckBatches(e Extent, raw []byte) error {
	next, newest := e.Base, int64(-1)
	err := recordbatch.Each(raw, MaxRaw, func(_ []byte, info recordbatch.Info) error {
		if info.BaseOffset != next || info.LeaderEpoch != e.Epoch {
			return fmt.Errorf("%w: batch at offset %d of epoch %d, want %d of epoch %d",
				ErrCorrupt, info.BaseOffset, info.LeaderEpoch, next, e.Epoch)
		}
		next = info.Next()
		newest = max(newest, info.MaxTimestamp)
		return nil
	})
	switch {
	case err != nil:
		return err
	case next != e.Next:
		return fmt.Errorf("%w: batches end at offset %d, want %d", ErrCorrupt, next, e.Next)
	case newest != e.MaxTimestamp:
		return fmt.Errorf("%w: newest timestamp %d, want %d", ErrCorrupt, newest, e.MaxTimestamp)
	}
	return nil
}

// eachHeader reads the headers of batches that were checked.
func eachHeader(raw []byte, fn func(recordbatch.Info)) error {
	for len(raw) > 0 {
		info, err := recordbatch.Read(raw)
		if err != nil {
			return err
		}
		fn(info)
		raw = raw[info.Size:]
	}
	return nil
}
