package group

import (
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
)

// Replay applies a record of the log; call it for each one in order, then Loaded, before anything else.
func (m *Machine) Replay(now time.Time, r offsetsrecord.Record) {
	m.now = now
	if r.Commit != nil {
		m.replayCommit(r.Commit)
		return
	}
	if r.Group.Value == nil {
		delete(m.groups, r.Group.Group)
		return
	}
	m.groups[r.Group.Group] = m.replayGroup(r.Group)
}

func (m *Machine) replayCommit(c *offsetsrecord.Commit) {
	p := TopicPartition{c.Topic, c.Partition}
	t := m.table(c.Group)
	e := &offsetEntry{counted: c.Value, latest: c.Value}
	t.entries[p] = e
	m.dropIfGone(c.Group, t, p, e)
}

func (m *Machine) replayGroup(r *offsetsrecord.GroupMetadata) *group {
	v := r.Value
	since := m.now
	if v.StateMs != offsetsrecord.None {
		since = time.UnixMilli(v.StateMs)
	}
	g := newGroup(r.Group, since)
	g.recorded = true
	g.generation = v.Generation
	for i := range v.Members {
		w := &v.Members[i]
		g.add(&member{
			id: w.ID, instanceID: w.InstanceID,
			clientID: w.ClientID, clientHost: w.ClientHost,
			sessionTimeout:   time.Duration(w.SessionTimeoutMs) * time.Millisecond,
			rebalanceTimeout: time.Duration(w.RebalanceTimeoutMs) * time.Millisecond,
			protocols:        []Protocol{{Name: v.Protocol, Metadata: w.Subscription}},
			assignment:       w.Assignment,
		}, v.ProtocolType)
	}
	g.protocolType, g.protocol, g.leader = v.ProtocolType, v.Protocol, v.Leader
	if len(g.members) > 0 {
		g.state, g.before = Stable, Stable
		g.readTopics()
	}
	return g
}

// Loaded ends the replay. Every group goes on with the members it had; each has a whole session to be heard of.
func (m *Machine) Loaded(now time.Time) Decision {
	m.begin(now)
	for _, id := range sortedKeys(m.offsets) {
		if m.groups[id] == nil {
			m.groups[id] = newGroup(id, now)
		}
	}
	for _, id := range sortedKeys(m.groups) {
		g := m.groups[id]
		for _, x := range g.members {
			m.touch(g, x)
		}
		if len(g.members) > m.cfg.MaxGroupSize {
			m.prepareRebalance(g)
		}
	}
	m.arm(Timer{Kind: TimerRetention}, m.cfg.RetentionCheck)
	return m.end()
}
