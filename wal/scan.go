package wal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// image is one file of a ring as recovery sees it.
type image struct {
	name string
	io.ReaderAt
	size int64
}

// run is a stretch of valid entries that follow each other in one file.
type run struct {
	file     int // index into the images
	start    Position
	end      Position
	previous Position // end of the entry before the first
}

// survey is all that the files of one ring say.
type survey struct {
	identity  Identity
	fileBytes int64
	madeMs    int64    // when the first file was made
	runs      []run    // by position
	released  Position // the highest seen in a mark or an entry
	synced    Position // the highest seen in an entry
}

// scan reads all files of a ring. It returns what is valid in them together with the first thing that is wrong
// with a file as such; holes between the entries are chain's business.
func scan(id Identity, images []image, released Position) (survey, error) {
	s := survey{identity: id, released: released}
	var wrong error
	for i, m := range images {
		w := newWindow(m)
		head, err := scanHead(w, id)
		if err == nil && s.fileBytes != 0 && head.fileBytes != 0 && head.fileBytes != s.fileBytes {
			err = fmt.Errorf("file size %d, want %d as in the files before", head.fileBytes, s.fileBytes)
		}
		if err == nil && head.fileBytes != 0 {
			s.fileBytes = head.fileBytes
			if s.madeMs == 0 {
				s.madeMs = head.madeMs
			}
			err = s.scanEntries(w, i)
		}
		switch {
		case errors.Is(err, ErrVersion):
			wrong = fmt.Errorf("%s: %w", m.name, err)
		case err != nil && wrong == nil:
			wrong = &CorruptError{File: m.name, Reason: err.Error()}
		}
	}
	slices.SortFunc(s.runs, func(a, b run) int { return cmp.Compare(a.start, b.start) })
	return s, wrong
}

// scanHead reads a file's header. A file that was never finished, and so holds nothing, gives a zero head.
func scanHead(w *window, id Identity) (fileHead, error) {
	b, err := w.at(0, fileHeaderUsed)
	if err != nil {
		return fileHead{}, err
	}
	if b == nil || bytes.Equal(b, make([]byte, fileHeaderUsed)) {
		return fileHead{}, nil
	}
	head, err := decodeFileHead(b)
	if err == nil && head.identity != id {
		err = fmt.Errorf("identity %s, want %s", head.identity, id)
	}
	return head, err
}

// scanEntries adds the runs of one file. Where no valid entry is it looks for the next one at every
// possible place, so that entries behind a damaged one are seen too.
func (s *survey) scanEntries(w *window, file int) error {
	seed := s.identity.seed()
	open := false // the last run ends at the offset
	for offset := int64(fileHeaderBytes); ; {
		h, payload, err := w.entry(seed, offset, s.fileBytes)
		if err != nil {
			return err
		}
		if payload == nil {
			if open = false; !w.holds(offset+entryAlign, entryHeader) {
				return nil
			}
			if offset, err = w.skipZeros(offset + entryAlign); err != nil {
				return err
			}
			continue
		}
		s.released = max(s.released, h.released)
		s.synced = max(s.synced, h.synced)
		if last := len(s.runs) - 1; open && s.runs[last].end == h.position && h.previous == h.position {
			s.runs[last].end = h.end()
		} else {
			s.runs = append(s.runs, run{file: file, start: h.position, end: h.end(), previous: h.previous})
			open = true
		}
		offset += entrySize(int(h.length))
	}
}

// chain returns the runs that lead from what is released, without a hole, to the end of the log. A hole in what
// was durable once is corruption; what lies behind any other hole was never promised to anybody: a torn tail.
func (s *survey) chain() (chain []run, torn bool, err error) {
	at := s.released
	for _, r := range s.runs {
		if r.end <= at {
			continue
		}
		if r.previous > at {
			if at < s.synced {
				return chain, false, &CorruptError{
					Sequence: s.sequence(at), Offset: s.offset(at),
					Reason: fmt.Sprintf("no valid entry at %d, but all up to %d was durable", at, s.synced),
				}
			}
			return chain, true, nil
		}
		chain = append(chain, r)
		at = r.end
	}
	return chain, false, nil
}

func (s *survey) sequence(p Position) uint64 { return uint64(p) / uint64(s.fileBytes) }
func (s *survey) offset(p Position) int64    { return int64(uint64(p) % uint64(s.fileBytes)) }

// window reads an image through a buffer, so that scanning it byte by byte costs few reads.
type window struct {
	image
	buf   []byte
	start int64 // offset of buf in the image
}

const windowBytes = 256 << 10

func newWindow(m image) *window { return &window{image: m} }

// holds reports whether the file has n bytes at offset.
func (w *window) holds(offset, n int64) bool { return offset >= 0 && offset+n <= w.size }

// at returns n bytes from offset on, valid until the next call, or nil if the file does not have them.
func (w *window) at(offset, n int64) ([]byte, error) {
	if !w.holds(offset, n) {
		return nil, nil
	}
	if offset < w.start || offset+n > w.start+int64(len(w.buf)) {
		want := min(max(n, windowBytes), w.size-offset)
		w.buf = slices.Grow(w.buf[:0], int(want))[:want]
		w.start = offset
		if _, err := w.ReadAt(w.buf, offset); err != nil {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("read at %d: %w", offset, err)
		}
	}
	return w.buf[offset-w.start:][:n:n], nil
}

// zeros is what most of a file looks like that was never full; skipZeros jumps over whole pieces of it.
var zeros [32 << 10]byte

// skipZeros gives an offset at or behind the one given. No entry begins in between: the header of one is never all
// zeros, for its position is not.
func (w *window) skipZeros(offset int64) (int64, error) {
	for {
		b, err := w.at(offset, int64(len(zeros)))
		if b == nil || !bytes.Equal(b, zeros[:]) {
			return offset, err
		}
		offset += int64(len(zeros)) - entryHeader&^(entryAlign-1)
	}
}

// entry returns the entry at offset; the payload is nil if there is no valid one. An empty payload is not nil.
func (w *window) entry(seed uint32, offset, fileBytes int64) (entryHead, []byte, error) {
	b, err := w.at(offset, entryHeader)
	if b == nil {
		return entryHead{}, nil, err
	}
	h, ok := getEntryHead(b, seed, offset, fileBytes)
	if !ok {
		return h, nil, nil
	}
	payload, err := w.at(offset+entryHeader, int64(h.length))
	if payload == nil || crc32.Update(payloadSeed(seed, h.position), castagnoli, payload) != h.payloadCRC {
		return h, nil, err
	}
	return h, payload, nil
}
