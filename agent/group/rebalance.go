package group

// rebalanceOrComplete starts a rebalance, or ends its join phase when everybody has come.
func (m *Machine) rebalanceOrComplete(g *group) {
	if g.state == PreparingRebalance {
		m.maybeCompleteJoin(g)
		return
	}
	m.prepareRebalance(g)
}

// prepareRebalance begins the join phase. A group that was empty waits for more members first.
func (m *Machine) prepareRebalance(g *group) {
	if g.state == CompletingRebalance {
		m.dropAssignments(g, ErrRebalanceInProgress)
	}
	m.cancel(syncTimer(g))
	initial := g.state == Empty
	g.turn(PreparingRebalance, m.now)
	g.arrivals = false
	if initial {
		g.initialDelay = m.cfg.InitialRebalanceDelay
		g.initialLeft = max(g.rebalanceTimeout()-m.cfg.InitialRebalanceDelay, 0)
		m.arm(joinTimer(g), g.initialDelay)
		return
	}
	g.initialDelay = 0
	if g.allJoined() {
		m.completeJoin(g)
		return
	}
	m.arm(joinTimer(g), g.rebalanceTimeout())
}

// maybeCompleteJoin ends the join phase when everybody has come. An initial one ends by its timer only.
func (m *Machine) maybeCompleteJoin(g *group) {
	if g.state == PreparingRebalance && g.before != Empty && g.allJoined() {
		m.completeJoin(g)
	}
}

// joinPhaseExpired ends the join phase with those who came, or prolongs an initial delay in which members came.
func (m *Machine) joinPhaseExpired(g *group) {
	if g.state != PreparingRebalance {
		return
	}
	if g.initialDelay > 0 && g.arrivals && g.initialLeft > 0 {
		g.arrivals = false
		next := min(m.cfg.InitialRebalanceDelay, g.initialLeft)
		g.initialLeft = max(g.initialLeft-g.initialDelay, 0)
		g.initialDelay = next
		m.arm(joinTimer(g), next)
		return
	}
	m.completeJoin(g)
}

// completeJoin ends the join phase: dynamic members that did not come are out, the others hear the next generation.
// When only static members are left and none came, it goes on.
func (m *Machine) completeJoin(g *group) {
	m.cancel(joinTimer(g))
	g.initialDelay = 0
	for _, x := range append([]*member(nil), g.members...) {
		if x.join == 0 && !x.static() {
			m.cancel(sessionTimer(g, x.id))
			g.remove(x.id)
		}
	}
	if len(g.members) > 0 && !g.electJoined() {
		m.arm(joinTimer(g), g.rebalanceTimeout())
		return
	}
	g.nextGeneration(m.now)
	if g.state == Empty {
		m.recordGroup(g)
		return
	}
	for _, x := range g.members {
		if x.join != 0 {
			// A generation is only a promise until SyncGroup, whose answer waits for the record: no proof.
			m.replyUnproved(x.join, m.joinReply(g, x))
			g.setJoin(x, 0)
		}
		m.arm(sessionTimer(g, x.id), x.sessionTimeout)
		x.isNew = false
		g.pendingSync[x.id] = struct{}{}
	}
	m.arm(syncTimer(g), g.rebalanceTimeout())
}

// syncPhaseExpired takes out the members that never asked for their assignment.
func (m *Machine) syncPhaseExpired(g *group) {
	if (g.state != CompletingRebalance && g.state != Stable) || len(g.pendingSync) == 0 {
		return
	}
	for _, x := range append([]*member(nil), g.members...) {
		if _, ok := g.pendingSync[x.id]; ok {
			m.cancel(sessionTimer(g, x.id))
			g.remove(x.id)
		}
	}
	m.prepareRebalance(g)
}

// sessionExpired takes out a member, or an id given out, that was not heard of in time.
func (m *Machine) sessionExpired(g *group, memberID string) {
	if _, ok := g.pendingJoin[memberID]; ok {
		m.removePending(g, memberID)
		return
	}
	if x := g.byID[memberID]; x != nil && !x.excused() {
		m.removeMember(g, x)
	}
}

func (m *Machine) removePending(g *group, memberID string) {
	g.remove(memberID)
	m.maybeCompleteJoin(g)
}

// removeMember takes a member out and rebalances the others.
func (m *Machine) removeMember(g *group, x *member) {
	if x.join != 0 {
		// The client, if it still lives, joins again as a new member.
		m.reply(x.join, JoinReply{Err: ErrUnknownMember, Generation: NoGeneration})
	}
	if x.sync != 0 {
		m.reply(x.sync, SyncReply{Err: ErrUnknownMember})
	}
	g.remove(x.id)
	if g.state != Empty {
		m.rebalanceOrComplete(g)
	}
}

// touch gives a member a fresh session.
func (m *Machine) touch(g *group, x *member) {
	m.arm(sessionTimer(g, x.id), x.sessionTimeout)
}

// dropAssignments forgets all assignments and answers those that wait for theirs with err.
func (m *Machine) dropAssignments(g *group, err error) {
	for _, x := range g.members {
		x.assignment = nil
		if x.sync == 0 {
			continue
		}
		m.replyUnproved(x.sync, SyncReply{Err: err})
		x.sync = 0
		m.touch(g, x)
	}
}

func sessionTimer(g *group, memberID string) Timer {
	return Timer{Kind: TimerSession, Group: g.id, Member: memberID}
}

func joinTimer(g *group) Timer { return Timer{Kind: TimerJoin, Group: g.id} }

func syncTimer(g *group) Timer { return Timer{Kind: TimerSync, Group: g.id} }
