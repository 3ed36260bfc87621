package redis

import (
	"context"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Register implements metadata.Heartbeats.
func (s *Store) Register(ctx context.Context, pin metadata.Pin, journal topic.JournalID, info string) error {
	keys := []string{s.keys.beats(pin.Era), s.keys.nodes(pin.Era)}
	_, err := s.run(ctx, registerScript, pin, call{keys, []any{journal.String(), info}})
	return err
}

// Beat implements metadata.Heartbeats.
func (s *Store) Beat(ctx context.Context, pin metadata.Pin, journal topic.JournalID) error {
	_, err := s.run(ctx, beatScript, pin, call{[]string{s.keys.beats(pin.Era)}, []any{journal.String()}})
	return err
}

// Counters implements metadata.Heartbeats.
func (s *Store) Counters(ctx context.Context, pin metadata.Pin) (map[topic.JournalID]uint64, error) {
	reply, err := s.run(ctx, countersScript, pin, call{keys: []string{s.keys.beats(pin.Era)}})
	if err != nil {
		return nil, err
	}
	pairs := list(reply[0])
	counters := make(map[topic.JournalID]uint64, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		id, err := topic.ParseJournalID(text(pairs[i]))
		if err != nil {
			continue // a field that is nobody's
		}
		counters[id] = number(pairs[i+1])
	}
	return counters, nil
}

// Remove implements metadata.Heartbeats.
func (s *Store) Remove(ctx context.Context, pin metadata.Pin, journals []topic.JournalID) error {
	if len(journals) == 0 {
		return nil
	}
	c := call{keys: []string{s.keys.beats(pin.Era), s.keys.nodes(pin.Era)}}
	for _, journal := range journals {
		c.args = append(c.args, journal.String())
	}
	_, err := s.run(ctx, removeScript, pin, c)
	return err
}
