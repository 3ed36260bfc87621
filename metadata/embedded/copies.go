package embedded

import (
	"cmp"
	"context"
	"slices"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// copySet names all copies of one kind made from one partition's log.
type copySet struct {
	kind      metadata.CopyKind
	partition topic.Partition
}

// Put implements metadata.Copies.
func (s *Store) Put(_ context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil || len(copies) == 0 {
		return err
	}
	for _, c := range copies {
		if err := c.Validate(); err != nil {
			return err
		}
	}
	for _, c := range copies {
		set := e.copies[copySet{c.Kind, c.Partition}]
		if set == nil {
			set = make(map[string]metadata.Copy)
			e.copies[copySet{c.Kind, c.Partition}] = set
		}
		if old, ok := set[c.Key]; ok && c.Position < old.Position {
			continue
		}
		set[c.Key] = own(c)
	}
	s.ring(metadata.KindCopies)
	return nil
}

// Get implements metadata.Copies.
func (s *Store) Get(_ context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition, keys []string) ([]metadata.Copy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.readable(pin)
	if err != nil {
		return nil, err
	}
	var found []metadata.Copy
	for _, key := range keys {
		if c, ok := e.copies[copySet{kind, partition}][key]; ok {
			found = append(found, own(c))
		}
	}
	return found, nil
}

// All implements metadata.Copies.
func (s *Store) All(_ context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) ([]metadata.Copy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.readable(pin)
	if err != nil {
		return nil, err
	}
	var found []metadata.Copy
	for _, c := range e.copies[copySet{kind, partition}] {
		found = append(found, own(c))
	}
	slices.SortFunc(found, func(a, b metadata.Copy) int { return cmp.Compare(a.Key, b.Key) })
	return found, nil
}

// own returns c with a value that the caller may change.
func own(c metadata.Copy) metadata.Copy {
	c.Value = append([]byte(nil), c.Value...) // nil if empty
	return c
}

// Drop implements metadata.Copies.
func (s *Store) Drop(_ context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return err
	}
	delete(e.copies, copySet{kind, partition})
	return nil
}
