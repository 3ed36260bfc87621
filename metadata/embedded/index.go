package embedded

import (
	"context"
	"fmt"
	"slices"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Index implements metadata.Index.
func (s *Store) Index(_ context.Context, pin metadata.Pin, control topic.Slot, segments []metadata.Segment) ([]metadata.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.writable(pin)
	if err != nil {
		return nil, err
	}
	for _, segment := range segments {
		if err := segment.Validate(); err != nil {
			return nil, err
		}
	}
	var outcomes []metadata.Outcome
	for _, segment := range segments {
		outcome := e.index(segment, control, s.open == pin.Era)
		outcomes = append(outcomes, outcome)
		if outcome == metadata.Indexed {
			s.ring(metadata.KindIndex)
		} else if outcome != metadata.Repeated {
			break
		}
	}
	return outcomes, nil
}

// index is P6 for one segment: all checks, then all writes.
func (e *era) index(segment metadata.Segment, control topic.Slot, open bool) metadata.Outcome {
	j := e.journals[segment.Journal]
	switch {
	case j == nil || !j.status.Opened:
		if e.applied < control {
			return metadata.Behind
		}
		return metadata.Closed
	case segment.Slot < j.status.Next:
		return metadata.Repeated
	case j.status.Sealed && segment.Slot >= j.status.Seal:
		return metadata.Closed
	case segment.Slot > j.status.Next, !open && !j.status.Attached && !j.status.Sealed:
		return metadata.Behind
	}
	outcome := metadata.Indexed
	for _, x := range segment.Extents {
		at, known := e.ends[x.Partition]
		switch {
		case known && x.Base < at.next:
			return metadata.Conflict
		case known && x.Base > at.next, !known && e.applied < control:
			outcome = metadata.Behind
		}
	}
	if outcome != metadata.Indexed {
		return outcome
	}
	for _, x := range segment.Extents {
		if at, known := e.ends[x.Partition]; known {
			e.ends[x.Partition] = span{at.start, x.Next}
		}
	}
	for _, start := range segment.LogStarts {
		e.raise(start)
	}
	segment.Extents, segment.LogStarts = slices.Clone(segment.Extents), slices.Clone(segment.LogStarts)
	j.log = append(j.log, segment)
	j.status.Next++
	j.drop(j.floor)
	return metadata.Indexed
}

// raise moves the log start of a partition up, if there is such a partition.
func (e *era) raise(to metadata.LogStart) {
	if at, known := e.ends[to.Partition]; known {
		e.ends[to.Partition] = span{max(at.start, to.Start), at.next}
	}
}

// Segments implements metadata.Index. The slices inside the segments are shared: the caller reads them only.
func (s *Store) Segments(_ context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.readable(pin)
	if err != nil {
		return nil, err
	}
	var found []metadata.Segment
	for _, c := range from {
		j := e.journals[c.Journal]
		if j == nil || !j.status.Opened || c.From >= j.status.Next {
			continue
		}
		rest := j.log[max(c.From, j.first)-j.first:]
		found = append(found, rest[:min(limit, len(rest))]...)
	}
	return found, nil
}

// Ends implements metadata.Index.
func (s *Store) Ends(_ context.Context, pin metadata.Pin, partitions []topic.Partition) ([]metadata.End, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.readable(pin)
	if err != nil {
		return nil, err
	}
	ends := make([]metadata.End, len(partitions))
	for i, p := range partitions {
		at, known := e.ends[p]
		ends[i] = metadata.End{Known: known, Start: at.start, Next: at.next}
	}
	return ends, nil
}

// Apply implements metadata.Index.
func (s *Store) Apply(_ context.Context, pin metadata.Pin, first topic.Slot, effects [][]metadata.Effect) (topic.Slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.writable(pin)
	if err != nil {
		return 0, err
	}
	end := first + topic.Slot(len(effects)) // one above the last number of this call
	switch {
	case e.applied+1 >= end:
		return e.applied, nil
	case e.applied+1 != first:
		return e.applied, fmt.Errorf("%w: control number %d, applied %d", metadata.ErrOutOfTurn, first, e.applied)
	}
	for _, of := range effects {
		e.do(of)
	}
	e.applied = end - 1
	s.ring(metadata.KindIndex)
	return e.applied, nil
}

// Applied implements metadata.Index.
func (s *Store) Applied(_ context.Context, pin metadata.Pin) (topic.Slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.writable(pin)
	if err != nil {
		return 0, err
	}
	return e.applied, nil
}

// do carries effects out; each may be repeated.
func (e *era) do(effects []metadata.Effect) {
	for _, effect := range effects {
		switch x := effect.(type) {
		case metadata.JournalOpened:
			if j := e.journal(x.Journal); !j.status.Opened {
				j.status.Opened, j.status.Next, j.first = true, x.First, x.First
			}
		case metadata.JournalSealed:
			if j := e.journal(x.Journal); !j.status.Sealed {
				j.status.Sealed, j.status.Seal = true, x.Seal
			}
		case metadata.PartitionAdded:
			if _, known := e.ends[x.Partition]; !known {
				e.ends[x.Partition] = span{x.Start, x.Next}
			}
		case metadata.PartitionDropped:
			delete(e.ends, x.Partition)
		case metadata.LogStartMoved:
			e.raise(metadata.LogStart(x))
		case metadata.SegmentsDropped:
			if j := e.journals[x.Journal]; j != nil && j.status.Opened {
				j.drop(x.Below)
			}
		}
	}
}
