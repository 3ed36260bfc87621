package group

import "time"

// Sync handles a SyncGroup. A member's reply comes when the leader has brought the assignment and its record counts.
func (m *Machine) Sync(now time.Time, call Call, r SyncRequest) Decision {
	m.begin(now)
	m.sync(call, &r)
	return m.end()
}

func (m *Machine) sync(call Call, r *SyncRequest) {
	g, err := m.checkSync(r)
	if err != nil {
		m.refuseSync(call, err)
		return
	}
	x := g.byID[r.MemberID]
	m.synced(g, x)
	if g.state == Stable {
		m.touch(g, x)
		m.reply(call, g.syncReply(x))
		return
	}
	if x.sync != 0 { // asked again: the client has gone on
		m.refuseSync(x.sync, ErrRebalanceInProgress)
	}
	x.sync = call
	if g.leader == x.id && g.writing != g.generation {
		m.assign(g, r.Assignments)
	}
}

// checkSync finds the group of a SyncGroup that may be served: its state is CompletingRebalance or Stable.
func (m *Machine) checkSync(r *SyncRequest) (*group, error) {
	if r.Group == "" {
		return nil, ErrInvalidGroupID
	}
	g := m.groups[r.Group]
	if g == nil {
		return nil, ErrUnknownMember
	}
	if err := g.checkMember(r.MemberID, r.InstanceID); err != nil {
		return nil, err
	}
	switch {
	case r.Generation != g.generation:
		return nil, ErrIllegalGeneration
	case differs(r.ProtocolType, g.protocolType) || differs(r.Protocol, g.protocol):
		return nil, ErrInconsistentProtocol
	case g.state == PreparingRebalance:
		return nil, ErrRebalanceInProgress
	case g.state == Empty:
		return nil, ErrUnknownMember
	}
	return g, nil
}

// differs compares what a client may say with what the group may have (KIP-559).
func differs(said *string, have string) bool { return said != nil && have != "" && *said != have }

func (m *Machine) refuseSync(call Call, err error) {
	if retriable(err) {
		m.replyUnproved(call, SyncReply{Err: err})
		return
	}
	m.reply(call, SyncReply{Err: err})
}

// synced notes that a member asked for its assignment.
func (m *Machine) synced(g *group, x *member) {
	delete(g.pendingSync, x.id)
	if len(g.pendingSync) == 0 {
		m.cancel(syncTimer(g))
	}
}

// assign takes the leader's assignment and writes the generation. Members get theirs when the record counts.
func (m *Machine) assign(g *group, assignments []Assignment) {
	given := make(map[string][]byte, len(assignments))
	for _, a := range assignments {
		given[a.MemberID] = a.Bytes
	}
	size := 0
	for _, x := range g.members {
		size += len(x.id) + len(x.instanceID) + len(x.clientID) + len(x.clientHost) + len(x.metadata(g.protocol)) + len(given[x.id])
	}
	if size > m.cfg.MaxRecordBytes {
		m.dropAssignments(g, ErrGroupTooLarge)
		m.prepareRebalance(g)
		return
	}
	for _, x := range g.members {
		x.assignment = given[x.id]
	}
	m.recordGroup(g)
	g.writing = g.generation
	u := m.uncounted()
	u.synced = append(u.synced, generation{g, g.generation})
}

// assignmentCounted hands the assignments out, unless the group has gone on meanwhile.
func (m *Machine) assignmentCounted(of generation) {
	g := of.group
	if g.state != CompletingRebalance || g.generation != of.number {
		return
	}
	g.turn(Stable, m.now)
	for _, x := range g.members {
		if x.sync == 0 {
			continue
		}
		m.out.Replies = append(m.out.Replies, Reply{Call: x.sync, Body: g.syncReply(x)})
		x.sync = 0
		m.touch(g, x)
	}
}

func (g *group) syncReply(x *member) SyncReply {
	return SyncReply{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: x.assignment}
}
