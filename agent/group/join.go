package group

import "time"

// Join handles a JoinGroup. Its reply comes when the join phase is over, unless it is refused.
func (m *Machine) Join(now time.Time, call Call, r JoinRequest) Decision {
	m.begin(now)
	m.join(call, &r)
	return m.end()
}

func (m *Machine) join(call Call, r *JoinRequest) {
	if err := m.checkJoin(r); err != nil {
		m.refuseJoin(call, r.MemberID, err)
		return
	}
	g := m.groups[r.Group]
	if g == nil {
		if r.MemberID != "" {
			m.refuseJoin(call, r.MemberID, ErrUnknownMember)
			return
		}
		if g = m.create(r.Group); g == nil {
			m.refuseJoin(call, "", ErrTooManyGroups)
			return
		}
	}
	switch {
	case !m.hasRoom(g, r.MemberID):
		m.expel(g, r.MemberID)
		m.refuseJoin(call, "", ErrGroupFull)
	case !g.supports(r.ProtocolType, r.Protocols):
		m.refuseJoin(call, r.MemberID, ErrInconsistentProtocol)
	case r.MemberID == "" && r.InstanceID != "":
		m.joinNewStatic(call, g, r)
	case r.MemberID == "":
		m.joinNewDynamic(call, g, r)
	default:
		m.joinAgain(call, g, r)
	}
}

func (m *Machine) checkJoin(r *JoinRequest) error {
	if r.Group == "" {
		return ErrInvalidGroupID
	}
	if r.SessionTimeout < m.cfg.MinSessionTimeout || r.SessionTimeout > m.cfg.MaxSessionTimeout {
		return ErrInvalidSessionTimeout
	}
	return nil
}

func (m *Machine) refuseJoin(call Call, memberID string, err error) {
	reply := JoinReply{Err: err, MemberID: memberID, Generation: NoGeneration}
	if retriable(err) {
		m.replyUnproved(call, reply)
		return
	}
	m.reply(call, reply)
}

// hasRoom applies the largest size of a group. While a rebalance is prepared those count that have joined already, so
// that a group which is too large loses the members that come last. Ids given out count as well, so that they cannot
// fill the memory.
func (m *Machine) hasRoom(g *group, memberID string) bool {
	x := g.byID[memberID]
	switch {
	case x == nil && memberID == "" && len(g.pendingJoin) >= m.cfg.MaxGroupSize:
		return false
	case g.state == PreparingRebalance:
		return (x != nil && x.join != 0) || g.joining < m.cfg.MaxGroupSize
	case g.state == Empty:
		return true
	default:
		return x != nil || len(g.members) < m.cfg.MaxGroupSize
	}
}

// expel drops a member or pending member that the group has no room for.
func (m *Machine) expel(g *group, memberID string) {
	if memberID == "" {
		return
	}
	m.cancel(sessionTimer(g, memberID))
	g.remove(memberID)
}

func (m *Machine) joinNewStatic(call Call, g *group, r *JoinRequest) {
	id := r.InstanceID + "-" + r.Unique
	if old, ok := g.byInstance[r.InstanceID]; ok {
		m.replaceStatic(call, g, g.byID[old], id, r)
		return
	}
	m.addMember(call, g, id, r)
}

func (m *Machine) joinNewDynamic(call Call, g *group, r *JoinRequest) {
	id := r.ClientID + "-" + r.Unique
	if !r.RequireMemberID {
		m.addMember(call, g, id, r)
		return
	}
	g.pendingJoin[id] = struct{}{}
	m.arm(sessionTimer(g, id), r.SessionTimeout)
	m.refuseJoin(call, id, ErrMemberIDRequired)
}

// joinAgain handles a JoinGroup that brings a member id.
func (m *Machine) joinAgain(call Call, g *group, r *JoinRequest) {
	if _, ok := g.pendingJoin[r.MemberID]; ok && r.InstanceID == "" {
		m.addMember(call, g, r.MemberID, r)
		return
	}
	if err := g.checkMember(r.MemberID, r.InstanceID); err != nil {
		m.refuseJoin(call, r.MemberID, err)
		return
	}
	x := g.byID[r.MemberID]
	unchanged := x.matches(r.Protocols)
	switch {
	case g.state == Empty:
		m.refuseJoin(call, r.MemberID, ErrUnknownMember)
	case g.state == CompletingRebalance && unchanged:
		// The reply to its first JoinGroup may have been lost: tell it again.
		m.reply(call, m.joinReply(g, x))
	case g.state == Stable && unchanged && g.leader != x.id:
		reply := m.joinReply(g, x)
		reply.Members = nil
		m.reply(call, reply)
	default:
		// A changed member, or a leader that wants a new assignment (topics may have changed).
		m.replaceCalls(x)
		g.update(x, r, call)
		m.rebalanceOrComplete(g)
	}
}

func (m *Machine) addMember(call Call, g *group, id string, r *JoinRequest) {
	x := &member{
		id: id, instanceID: r.InstanceID,
		clientID: r.ClientID, clientHost: r.ClientHost,
		sessionTimeout: r.SessionTimeout, rebalanceTimeout: r.RebalanceTimeout,
		protocols: r.Protocols,
		join:      call,
		isNew:     true,
	}
	if g.state == PreparingRebalance && g.before == Empty {
		g.arrivals = true
	}
	g.add(x, r.ProtocolType)
	// A new member does not know its id yet and cannot send heartbeats. If its client has gone, this ends the wait.
	m.arm(sessionTimer(g, id), m.cfg.NewMemberJoinTimeout)
	m.rebalanceOrComplete(g)
}

// staticReply is the reply to a static member that was replaced without a rebalance.
type staticReply struct {
	group          *group
	member         *member
	call           Call
	id             string
	skipAssignment bool
	oldLeader      string
}

// replaceStatic gives the place of a static member to a new process with the same instance id. The old one is fenced.
// A stable group does not rebalance for it, unless the new one changes the choice of the protocol.
func (m *Machine) replaceStatic(call Call, g *group, x *member, id string, r *JoinRequest) {
	oldLeader := g.leader
	m.cancel(sessionTimer(g, x.id))
	m.fence(g, x)
	g.rename(x, id)
	x.clientID, x.clientHost = r.ClientID, r.ClientHost
	g.update(x, r, call)
	m.arm(sessionTimer(g, id), x.sessionTimeout)

	switch g.state {
	case Stable:
		if g.chooseProtocol() != g.protocol {
			m.rebalanceOrComplete(g)
			return
		}
		m.recordGroup(g)
		u := m.uncounted()
		u.static = append(u.static, staticReply{g, x, call, id, r.SkipAssignment, oldLeader})
	case CompletingRebalance:
		// The leader may be assigning to the old member id.
		m.prepareRebalance(g)
	default:
		m.maybeCompleteJoin(g)
	}
}

// fence answers the calls of a static member that was replaced.
func (m *Machine) fence(g *group, x *member) {
	if x.join != 0 {
		m.reply(x.join, JoinReply{Err: ErrFencedInstance, MemberID: x.id, Generation: NoGeneration})
		g.setJoin(x, 0)
	}
	if x.sync != 0 {
		m.reply(x.sync, SyncReply{Err: ErrFencedInstance})
		x.sync = 0
	}
}

// staticCounted answers a replaced static member, if nothing else has in the meantime.
func (m *Machine) staticCounted(s staticReply) {
	g, x := s.group, s.member
	if x.join != s.call || x.id != s.id || g.byID[x.id] != x {
		return
	}
	reply := m.joinReply(g, x)
	if s.skipAssignment {
		reply.SkipAssignment = g.leader == x.id
	} else {
		// An older client that hears it leads would assign. It is told the id it had before.
		reply.Leader, reply.Members = s.oldLeader, nil
	}
	g.setJoin(x, 0)
	m.touch(g, x)
	m.out.Replies = append(m.out.Replies, Reply{Call: s.call, Body: reply})
}

// joinReply tells a member the group's generation; the leader hears who is in it.
func (m *Machine) joinReply(g *group, x *member) JoinReply {
	r := JoinReply{
		MemberID:     x.id,
		Generation:   g.generation,
		ProtocolType: g.protocolType,
		Protocol:     g.protocol,
		Leader:       g.leader,
	}
	if g.leader == x.id {
		r.Members = g.joined()
	}
	return r
}

// replaceCalls ends the calls of a member that joins again while they wait: their client has gone on.
func (m *Machine) replaceCalls(x *member) {
	if x.join != 0 {
		m.replyUnproved(x.join, JoinReply{Err: ErrLoadInProgress, MemberID: x.id, Generation: NoGeneration})
	}
}
