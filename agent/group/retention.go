package group

import (
	"maps"
	"slices"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
)

// expireOffsets deletes the offsets that are kept no longer, and the groups that have neither members nor offsets.
func (m *Machine) expireOffsets() {
	m.deleteOffsetsWhere(m.expired)
	for _, id := range sortedKeys(m.groups) {
		g := m.groups[id]
		if g.state != Empty || len(g.pendingJoin) > 0 || m.hasOffsets(id) {
			continue
		}
		m.forget(g)
	}
}

// expired applies KIP-211: an offset in use does not expire; what counts as use depends on the group.
func (m *Machine) expired(g *group, p TopicPartition, o *offsetsrecord.Offset) bool {
	now := m.now.UnixMilli()
	var since int64
	switch {
	case g == nil || g.protocolType == "": // no members ever: used when committed
		since = o.CommitMs
	case g.state == Empty: // used until the last member left
		since = g.since.UnixMilli()
	case g.state == Stable && g.protocolType == consumerProtocol && g.topicsKnown && !g.subscribed(p.Topic):
		since = o.CommitMs
	default:
		return false
	}
	if o.ExpireMs != offsetsrecord.None {
		return now >= o.ExpireMs
	}
	return now-since >= m.cfg.OffsetsRetention.Milliseconds()
}

// hasOffsets reports whether the group will have offsets when all records count.
func (m *Machine) hasOffsets(group string) bool {
	t := m.offsets[group]
	if t == nil {
		return false
	}
	for _, e := range t.entries {
		if e.latest != nil {
			return true
		}
	}
	return false
}

// forget drops a group, in the log too if it is there.
func (m *Machine) forget(g *group) {
	if g.recorded {
		m.record(offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: g.id}})
	}
	for id := range g.pendingJoin {
		m.cancel(sessionTimer(g, id))
	}
	delete(m.groups, g.id)
}

// create makes a group, nil when there are too many.
func (m *Machine) create(id string) *group {
	if len(m.groups) >= m.cfg.MaxGroups {
		return nil
	}
	g := newGroup(id, m.now)
	m.groups[id] = g
	return g
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
