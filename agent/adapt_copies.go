package agent

import (
	"context"
	"log/slog"

	"github.com/odradek/odradek/agent/copies"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// newCopies makes the writer of the session's copies in Redis.
func (s *session) newCopies() *copies.Writer {
	return copies.New(s.agent.meta, &producing{s}, copies.Config{
		Open: s.openEra, Newest: s.newestEra, Written: s.agent.metrics.copiesWritten, Dropped: s.agent.metrics.copiesDropped,
	}, slog.Default())
}

// newestEra pins the newest era that the control log names.
func (s *session) newestEra() (metadata.Pin, bool) {
	era, ok := s.cluster.State().NewestEra()
	return metadata.Pin{Era: uint64(era.Number), RunID: era.RunID, ReplicationID: era.ReplicationID}, ok
}

// openEra is newestEra if it is open and this agent keeps its index.
func (s *session) openEra() (metadata.Pin, bool) {
	pin, ok := s.newestEra()
	return pin, ok && pin.Era == s.cluster.Era()
}

// touched notes for the copies which partitions have news of producers.
func (s *session) touched(seg ingest.Segment) {
	if s.copies == nil {
		return
	}
	for _, d := range seg.Footer.Producers {
		s.copies.Touched(d.Partition, d.Next)
	}
}

// producing is the journal's producer state as agent/copies' Producers.
type producing struct{ s *session }

// ProducerState implements copies.Producers.
func (p *producing) ProducerState(of topic.Partition) ([]byte, topic.Offset, bool) {
	return p.s.ingest.ProducerState(of)
}

// Producing implements copies.Producers.
func (p *producing) Producing() []topic.Partition { return p.s.ingest.Producing() }

// groupCopies is agent/copies as agent/group's Copies: it knows what the records of the offsets topic are about.
type groupCopies struct {
	s   *session
	log *groupLog
}

// Load implements group.Copies.
func (c *groupCopies) Load(ctx context.Context, partition int32) (topic.Offset, []group.Record) {
	p, err := c.log.partition(partition)
	if err != nil {
		return 0, nil
	}
	_, end, _ := c.s.ingest.Owns(p) // nothing is under way: this is where the log ends
	from, entries := c.s.copies.Load(ctx, p, end)
	records := make([]group.Record, 0, len(entries))
	for _, e := range entries {
		key := []byte(e.Key)
		if e.Kind == metadata.CopyGroup {
			key, _ = offsetsrecord.Encode(offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: e.Key}})
		}
		records = append(records, group.Record{Key: key, Value: e.Value})
	}
	return from, records
}

// Restart implements group.Copies.
func (c *groupCopies) Restart(partition int32) {
	if p, err := c.log.partition(partition); err == nil {
		c.s.copies.Restart(p)
	}
}

// Apply implements group.Copies.
func (c *groupCopies) Apply(partition int32, base topic.Offset, records []group.Record) {
	p, err := c.log.partition(partition)
	if err != nil {
		return
	}
	entries := make([]copies.Entry, len(records)) // of no kind: neither group nor offset
	for i, r := range records {
		said, err := offsetsrecord.Decode(r.Key, nil)
		switch {
		case err != nil:
		case said.Group != nil:
			entries[i] = copies.Entry{Kind: metadata.CopyGroup, Key: said.Group.Group, Value: r.Value}
		default:
			entries[i] = copies.Entry{Kind: metadata.CopyOffset, Key: string(r.Key), Value: r.Value}
		}
	}
	c.s.copies.Apply(p, base, entries)
}

// Loaded implements group.Copies.
func (c *groupCopies) Loaded(partition int32, end topic.Offset) {
	if p, err := c.log.partition(partition); err == nil {
		c.s.copies.Loaded(p, end)
	}
}

// Unload implements group.Copies.
func (c *groupCopies) Unload(partition int32) {
	if p, err := c.log.partition(partition); err == nil {
		c.s.copies.Unload(p)
	}
}
