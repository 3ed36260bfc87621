package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// copiesAtOnce bounds one script's arguments.
const copiesAtOnce = 1000

// copySet names all copies of one kind made from one partition's log: one hash.
type copySet struct {
	kind      metadata.CopyKind
	partition topic.Partition
}

// Put implements metadata.Copies: one script per kind, partition and 1,000 copies, in one round trip.
func (s *Store) Put(ctx context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	if len(copies) == 0 {
		return nil
	}
	var order []copySet
	sets := make(map[copySet][]metadata.Copy)
	for _, c := range copies {
		if err := c.Validate(); err != nil {
			return err
		}
		set := copySet{c.Kind, c.Partition}
		if sets[set] == nil {
			order = append(order, set)
		}
		sets[set] = append(sets[set], c)
	}
	var calls []call
	for _, set := range order {
		for part := range slices.Chunk(sets[set], copiesAtOnce) {
			calls = append(calls, s.putCall(pin.Era, set, part))
		}
	}
	replies, err := s.runAll(ctx, putScript, pin, calls)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		if _, err := verdict(putScript, reply); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) putCall(era uint64, set copySet, copies []metadata.Copy) call {
	c := call{
		keys: []string{s.keys.all(era), s.keys.copies(era, set.kind, set.partition)},
		args: []any{s.keys.bell(), kindsText(metadata.KindCopies)},
	}
	for _, x := range copies {
		c.args = append(c.args, x.Key, offsetText(x.Position), x.Value)
	}
	return c
}

// Get implements metadata.Copies.
func (s *Store) Get(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition, keys []string) ([]metadata.Copy, error) {
	var found []metadata.Copy
	for part := range slices.Chunk(keys, copiesAtOnce) {
		c := call{keys: []string{s.keys.copies(pin.Era, kind, partition)}}
		for _, key := range part {
			c.args = append(c.args, key)
		}
		reply, err := s.run(ctx, getScript, pin, c)
		if err != nil {
			return nil, err
		}
		for i, stored := range list(reply[0]) {
			if stored == nil {
				continue
			}
			x, err := readCopy(kind, partition, part[i], text(stored))
			if err != nil {
				return nil, err
			}
			found = append(found, x)
		}
	}
	return found, nil
}

// All implements metadata.Copies.
func (s *Store) All(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) ([]metadata.Copy, error) {
	reply, err := s.run(ctx, allScript, pin, call{keys: []string{s.keys.copies(pin.Era, kind, partition)}})
	if err != nil {
		return nil, err
	}
	pairs := list(reply[0])
	var found []metadata.Copy
	for i := 0; i+1 < len(pairs); i += 2 {
		x, err := readCopy(kind, partition, text(pairs[i]), text(pairs[i+1]))
		if err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	slices.SortFunc(found, func(a, b metadata.Copy) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

// readCopy reads "<position> <value>".
func readCopy(kind metadata.CopyKind, partition topic.Partition, key, stored string) (metadata.Copy, error) {
	position, value, ok := strings.Cut(stored, " ")
	n, err := strconv.ParseInt(position, 10, 64)
	if !ok || err != nil {
		return metadata.Copy{}, fmt.Errorf("redis copies: %q of %s starts with no position", key, partition)
	}
	x := metadata.Copy{Kind: kind, Partition: partition, Key: key, Position: topic.Offset(n)}
	if value != "" {
		x.Value = []byte(value)
	}
	return x, nil
}

// Drop implements metadata.Copies.
func (s *Store) Drop(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) error {
	keys := []string{s.keys.all(pin.Era), s.keys.copies(pin.Era, kind, partition)}
	_, err := s.run(ctx, dropScript, pin, call{keys: keys})
	return err
}
