package metadata

import (
	"errors"
	"fmt"

	"github.com/odradek/odradek/topic"
)

// What a caller's mistake gives; nothing was changed.
var (
	ErrSegment = errors.New("segment not fit for the index")
	ErrCopy    = errors.New("copy not fit for the store")
)

// Validate checks what every implementation of Index relies on.
func (s Segment) Validate() error {
	if len(s.Extents) > MaxExtents || len(s.LogStarts) > MaxExtents {
		return fmt.Errorf("%w: slot %d of %s: %d extents, %d log starts, at most %d of each", ErrSegment, s.Slot, s.Journal, len(s.Extents), len(s.LogStarts), MaxExtents)
	}
	seen := make(map[topic.Partition]struct{}, len(s.Extents))
	for i, x := range s.Extents {
		if x.Base < 0 || x.Next <= x.Base {
			return fmt.Errorf("%w: slot %d of %s: extent %d of %s is [%d, %d)", ErrSegment, s.Slot, s.Journal, i, x.Partition, x.Base, x.Next)
		}
		if _, twice := seen[x.Partition]; twice {
			return fmt.Errorf("%w: slot %d of %s: extent %d: second one of %s", ErrSegment, s.Slot, s.Journal, i, x.Partition)
		}
		seen[x.Partition] = struct{}{}
	}
	return nil
}

// Validate checks what every implementation of Copies relies on.
func (c Copy) Validate() error {
	if c.Position < 0 {
		return fmt.Errorf("%w: %q of %s: position %d", ErrCopy, c.Key, c.Partition, c.Position)
	}
	return nil
}
