package group

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/topic"
)

// noOffset stands for "nothing committed".
const noOffset topic.Offset = -1

// refreshShare: a commit that repeats the offset is written again when the record that counts is older than this part
// of the retention, so that an offset in use never expires.
const refreshShare = 4

// offsetTable holds a group's committed offsets.
type offsetTable struct {
	entries map[TopicPartition]*offsetEntry
}

// offsetEntry is the offset of one partition. Without uncounted records both values are the same.
type offsetEntry struct {
	counted *offsetsrecord.Offset // what clients are told; nil: none
	latest  *offsetsrecord.Offset // what the newest record says, counted or not
	seq     uint64                // of the newest record while it does not count, else 0
}

func (m *Machine) table(group string) *offsetTable {
	t := m.offsets[group]
	if t == nil {
		t = &offsetTable{entries: map[TopicPartition]*offsetEntry{}}
		m.offsets[group] = t
	}
	return t
}

// putOffset admits a record for an offset; nil deletes.
func (m *Machine) putOffset(group string, p TopicPartition, v *offsetsrecord.Offset) {
	t := m.table(group)
	e := t.entries[p]
	if e == nil {
		e = &offsetEntry{}
		t.entries[p] = e
	}
	m.record(offsetsrecord.Record{Commit: &offsetsrecord.Commit{Group: group, Topic: p.Topic, Partition: p.Partition, Value: v}})
	e.latest, e.seq = v, m.uncounted().seq
}

// countOffset applies a record that counts.
func (m *Machine) countOffset(c *offsetsrecord.Commit, seq uint64) {
	p := TopicPartition{c.Topic, c.Partition}
	t := m.offsets[c.Group]
	if t == nil || t.entries[p] == nil {
		return
	}
	e := t.entries[p]
	e.counted = c.Value
	if e.seq == seq {
		e.seq = 0
	}
	m.dropIfGone(c.Group, t, p, e)
}

func (m *Machine) dropIfGone(group string, t *offsetTable, p TopicPartition, e *offsetEntry) {
	if e.seq == 0 && e.counted == nil && e.latest == nil {
		delete(t.entries, p)
	}
	if len(t.entries) == 0 {
		delete(m.offsets, group)
	}
}

// Commit handles an OffsetCommit. Its reply comes when its records count. An offset that is committed already needs no
// record; the reply then waits for the record under way, if there is one, and is to be proved.
func (m *Machine) Commit(now time.Time, call Call, r CommitRequest) Decision {
	m.begin(now)
	m.commit(call, &r)
	return m.end()
}

func (m *Machine) commit(call Call, r *CommitRequest) {
	g, err := m.checkCommit(r)
	if err != nil {
		m.refuseCommit(call, err)
		return
	}
	if x := g.byID[r.MemberID]; x != nil && (g.state == Stable || g.state == PreparingRebalance) {
		m.touch(g, x)
	}
	reply := CommitReply{Errs: make([]error, len(r.Offsets))}
	var after uint64 // the newest uncounted record that a repeated offset rests on
	for i := range r.Offsets {
		var seq uint64
		seq, reply.Errs[i] = m.commitOne(r, &r.Offsets[i])
		after = max(after, seq)
	}
	switch u := m.waitingFor(after); {
	case m.then != nil:
		m.replyWhenCounted(call, reply)
	case u != nil:
		u.replies = append(u.replies, Reply{Call: call, Body: reply, Prove: true})
	default:
		m.reply(call, reply)
	}
}

func (m *Machine) refuseCommit(call Call, err error) {
	if retriable(err) {
		m.replyUnproved(call, CommitReply{Err: err})
		return
	}
	m.reply(call, CommitReply{Err: err})
}

// waitingFor finds the uncounted records with a number; nil when they count.
func (m *Machine) waitingFor(seq uint64) *uncounted {
	i, ok := slices.BinarySearchFunc(m.waiting, seq, func(u uncounted, seq uint64) int { return cmp.Compare(u.seq, seq) })
	if !ok {
		return nil
	}
	return &m.waiting[i]
}

// checkCommit finds the group, a new simple one if need be, and checks whether the sender may commit for it.
func (m *Machine) checkCommit(r *CommitRequest) (*group, error) {
	g := m.groups[r.Group]
	if g == nil {
		if r.Generation > NoGeneration {
			return nil, ErrGroupNotFound
		}
		if g = m.create(r.Group); g == nil {
			return nil, ErrTooManyGroups
		}
	}
	if r.Generation <= NoGeneration && g.state == Empty {
		return g, nil // an administrator, or a consumer that manages its partitions itself
	}
	if r.Generation <= NoGeneration && r.MemberID == "" && r.InstanceID == "" {
		return nil, ErrUnknownMember
	}
	if err := g.checkMember(r.MemberID, r.InstanceID); err != nil {
		return nil, err
	}
	if r.Generation != g.generation {
		return nil, ErrIllegalGeneration
	}
	if g.state == CompletingRebalance {
		return nil, ErrRebalanceInProgress
	}
	return g, nil
}

// commitOne admits one offset. When it is there already it returns the number of the record that says so, 0 when that
// counts.
func (m *Machine) commitOne(r *CommitRequest, o *CommitOffset) (seq uint64, err error) {
	if len(o.Metadata) > m.cfg.MaxMetadataBytes {
		return 0, ErrMetadataTooLarge
	}
	t := m.offsets[r.Group]
	var e *offsetEntry
	if t != nil {
		e = t.entries[o.TopicPartition]
	}
	if e == nil && t != nil && len(t.entries) >= m.cfg.MaxOffsets {
		return 0, ErrTooManyOffsets
	}
	if e != nil && r.Retention == 0 && m.repeats(e.latest, o) {
		return e.seq, nil
	}
	v := &offsetsrecord.Offset{
		Offset:      o.Offset,
		LeaderEpoch: o.LeaderEpoch,
		Metadata:    o.Metadata,
		CommitMs:    m.now.UnixMilli(),
		ExpireMs:    offsetsrecord.None,
	}
	if r.Retention > 0 {
		v.ExpireMs = v.CommitMs + r.Retention.Milliseconds()
	}
	m.putOffset(r.Group, o.TopicPartition, v)
	return 0, nil
}

// repeats reports whether a commit changes nothing.
func (m *Machine) repeats(have *offsetsrecord.Offset, o *CommitOffset) bool {
	return have != nil && have.Offset == o.Offset && have.LeaderEpoch == o.LeaderEpoch && have.Metadata == o.Metadata &&
		have.ExpireMs == offsetsrecord.None &&
		m.now.UnixMilli()-have.CommitMs < m.cfg.OffsetsRetention.Milliseconds()/refreshShare
}

// Fetch handles an OffsetFetch: offsets that count, -1 where there is none. A group nobody knows has none.
func (m *Machine) Fetch(now time.Time, call Call, r FetchRequest) Decision {
	m.begin(now)
	var entries map[TopicPartition]*offsetEntry
	if t := m.offsets[r.Group]; t != nil {
		entries = t.entries
	}
	parts := r.Parts
	if r.All {
		parts = make([]TopicPartition, 0, len(entries))
		for p, e := range entries {
			if e.counted != nil {
				parts = append(parts, p)
			}
		}
		slices.SortFunc(parts, comparePartitions)
	}
	reply := FetchReply{Offsets: make([]CommittedOffset, len(parts))}
	for i, p := range parts {
		o := CommittedOffset{TopicPartition: p, Offset: noOffset, LeaderEpoch: offsetsrecord.None}
		if e := entries[p]; e != nil && e.counted != nil {
			o.Offset, o.LeaderEpoch, o.Metadata = e.counted.Offset, e.counted.LeaderEpoch, e.counted.Metadata
		}
		reply.Offsets[i] = o
	}
	m.reply(call, reply)
	return m.end()
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// DeleteOffsets handles an OffsetDelete. Offsets of topics that members subscribe to stay. The reply waits for the
// records.
func (m *Machine) DeleteOffsets(now time.Time, call Call, r DeleteOffsetsRequest) Decision {
	m.begin(now)
	m.replyWhenCounted(call, m.deleteOffsets(&r))
	return m.end()
}

func (m *Machine) deleteOffsets(r *DeleteOffsetsRequest) DeleteOffsetsReply {
	if r.Group == "" {
		return DeleteOffsetsReply{Err: ErrInvalidGroupID}
	}
	g := m.groups[r.Group]
	switch {
	case g == nil:
		return DeleteOffsetsReply{Err: ErrGroupNotFound}
	case g.state != Empty && g.protocolType != consumerProtocol:
		return DeleteOffsetsReply{Err: ErrGroupNotEmpty}
	}
	reply := DeleteOffsetsReply{Errs: make([]error, len(r.Parts))}
	for i, p := range r.Parts {
		if g.subscribed(p.Topic) {
			reply.Errs[i] = ErrSubscribed
			continue
		}
		m.deleteOffset(r.Group, p)
	}
	return reply
}

// deleteOffset admits the deletion of an offset, if there is one.
func (m *Machine) deleteOffset(group string, p TopicPartition) {
	if t := m.offsets[group]; t != nil && t.entries[p] != nil && t.entries[p].latest != nil {
		m.putOffset(group, p, nil)
	}
}

// TopicsDeleted deletes all offsets committed for topics that exist no longer.
func (m *Machine) TopicsDeleted(now time.Time, names []string) Decision {
	m.begin(now)
	m.deleteOffsetsWhere(func(_ *group, p TopicPartition, _ *offsetsrecord.Offset) bool { return slices.Contains(names, p.Topic) })
	return m.end()
}

// topicsGone lists the topics that have committed offsets and exist no longer.
func (m *Machine) topicsGone() []string {
	if m.cfg.TopicExists == nil {
		return nil
	}
	gone := make(map[string]bool)
	for _, t := range m.offsets {
		for p := range t.entries {
			if _, asked := gone[p.Topic]; !asked {
				gone[p.Topic] = !m.cfg.TopicExists(p.Topic)
			}
		}
	}
	maps.DeleteFunc(gone, func(_ string, gone bool) bool { return !gone })
	return sortedKeys(gone)
}

// deleteOffsetsWhere admits the deletion of offsets, in a fixed order.
func (m *Machine) deleteOffsetsWhere(gone func(*group, TopicPartition, *offsetsrecord.Offset) bool) {
	for _, id := range sortedKeys(m.offsets) {
		var parts []TopicPartition
		for p, e := range m.offsets[id].entries {
			if e.latest != nil && gone(m.groups[id], p, e.latest) {
				parts = append(parts, p)
			}
		}
		slices.SortFunc(parts, comparePartitions)
		for _, p := range parts {
			m.putOffset(id, p, nil)
		}
	}
}
