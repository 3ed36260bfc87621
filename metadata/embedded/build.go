package embedded

import (
	"context"
	"fmt"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Reattach implements metadata.Eras.
func (s *Store) Reattach(_ context.Context, pin metadata.Pin, id topic.JournalID, counted topic.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.room(pin)
	if err != nil || s.open == pin.Era {
		return err
	}
	status := &e.journal(id).status
	status.Attached, status.Counted = true, max(status.Counted, counted)
	return nil
}

// Begin implements metadata.Builder.
func (s *Store) Begin(_ context.Context, pin metadata.Pin) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.unopened(pin)
	return err
}

// unopened returns the pinned era, made if need be, unless it is open. The caller holds mu.
func (s *Store) unopened(pin metadata.Pin) (*era, error) {
	if s.open == pin.Era {
		return nil, metadata.ErrEra
	}
	return s.room(pin)
}

// Load implements metadata.Builder.
func (s *Store) Load(_ context.Context, pin metadata.Pin, effects []metadata.Effect) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil || e.loaded {
		return err
	}
	e.do(effects)
	return nil
}

// Loaded implements metadata.Builder.
func (s *Store) Loaded(_ context.Context, pin metadata.Pin, applied topic.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil || e.loaded {
		return err
	}
	e.loaded, e.applied = true, applied
	return nil
}

// Progress implements metadata.Builder.
func (s *Store) Progress(_ context.Context, pin metadata.Pin) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return err
	}
	e.progress++
	return nil
}

// Open implements metadata.Builder.
func (s *Store) Open(_ context.Context, pin metadata.Pin, control topic.Slot, expected []metadata.Expected) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil || s.open == pin.Era {
		return err
	}
	if err := e.complete(control, expected); err != nil {
		return err
	}
	s.open = pin.Era
	s.ring(metadata.AllKinds)
	return nil
}

// complete checks R4 against what the era itself holds.
func (e *era) complete(control topic.Slot, expected []metadata.Expected) error {
	if !e.loaded {
		return fmt.Errorf("%w: not loaded", metadata.ErrNotReady)
	}
	if e.applied < control {
		return fmt.Errorf("%w: control number %d of %d applied", metadata.ErrNotReady, e.applied, control)
	}
	for id, j := range e.journals {
		if missing := wants(j.status); missing != "" {
			return fmt.Errorf("%w: journal %s: %s", metadata.ErrNotReady, id, missing)
		}
	}
	for _, x := range expected {
		var status metadata.JournalStatus
		if j := e.journals[x.Journal]; j != nil {
			status = j.status
		}
		if !status.Opened {
			return fmt.Errorf("%w: journal %s: not opened", metadata.ErrNotReady, x.Journal)
		}
		if x.Sealed && (!status.Sealed || status.Seal != x.Seal) {
			return fmt.Errorf("%w: journal %s: not sealed at %d", metadata.ErrNotReady, x.Journal, x.Seal)
		}
	}
	return nil
}

// wants says what a journal lacks before its era may open, "" if nothing.
func wants(j metadata.JournalStatus) string {
	switch {
	case j.Sealed && j.Next < j.Seal:
		return fmt.Sprintf("indexed to %d of seal %d", j.Next, j.Seal)
	case j.Sealed:
		return ""
	case !j.Attached:
		return "not re-attached"
	case j.Next < j.Counted:
		return fmt.Sprintf("indexed to %d of %d", j.Next, j.Counted)
	}
	return ""
}

// Sweep implements metadata.Builder. It ignores limit: memory is given back at once.
func (s *Store) Sweep(_ context.Context, pin metadata.Pin, _ int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.readable(pin); err != nil {
		return false, err
	}
	for number := range s.eras {
		if number < s.open {
			delete(s.eras, number)
		}
	}
	return false, nil
}
