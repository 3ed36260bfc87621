package group

import (
	"slices"
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
)

// consumerProtocol is the protocol type whose metadata the coordinator can read.
const consumerProtocol = "consumer"

// group is one classic group.
type group struct {
	id           string
	state        State
	before       State // the state before state
	since        time.Time
	generation   int32
	protocolType string // empty: no member ever joined (a simple group)
	protocol     string // of this generation; empty: none
	leader       string // member id, empty: none

	members     []*member // in the order of joining
	byID        map[string]*member
	byInstance  map[string]string   // group instance id -> member id
	pendingJoin map[string]struct{} // member ids given out that have not joined
	pendingSync map[string]struct{} // members that were told the generation and have not asked for their assignment
	speakers    map[string]int      // protocol name -> members that speak it
	joining     int                 // members with a JoinGroup that waits
	recorded    bool                // there is a record of it in the log, counted or not
	writing     int32               // the generation whose assignment is being written, 0 for none

	arrivals     bool          // members came during this initial delay
	initialDelay time.Duration // under way; 0 when the join phase is not an initial one
	initialLeft  time.Duration // by which the initial delay may still be prolonged

	topics      map[string]struct{} // that members of this generation subscribe to
	topicsKnown bool
}

func newGroup(id string, now time.Time) *group {
	return &group{
		id:          id,
		state:       Empty,
		before:      Empty,
		since:       now,
		byID:        map[string]*member{},
		byInstance:  map[string]string{},
		pendingJoin: map[string]struct{}{},
		pendingSync: map[string]struct{}{},
		speakers:    map[string]int{},
	}
}

func (g *group) turn(s State, now time.Time) {
	g.before, g.state, g.since = g.state, s, now
}

// add takes a new member in. The first member of an empty group fixes its protocol type.
func (g *group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	if m.static() {
		g.byInstance[m.instanceID] = m.id
	}
	g.countSpeakers(m, +1)
	if m.join != 0 {
		g.joining++
	}
	delete(g.pendingJoin, m.id)
}

// remove forgets a member id, be it a member or a pending one.
func (g *group) remove(id string) {
	if m := g.byID[id]; m != nil {
		g.countSpeakers(m, -1)
		if m.join != 0 {
			g.joining--
		}
		if m.static() {
			delete(g.byInstance, m.instanceID)
		}
		delete(g.byID, id)
		g.members = slices.DeleteFunc(g.members, func(x *member) bool { return x == m })
	}
	if g.leader == id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	delete(g.pendingJoin, id)
	delete(g.pendingSync, id)
}

// rename gives a static member a new id.
func (g *group) rename(m *member, id string) {
	if g.leader == m.id {
		g.leader = id
	}
	if _, ok := g.pendingSync[m.id]; ok {
		delete(g.pendingSync, m.id)
		g.pendingSync[id] = struct{}{}
	}
	delete(g.byID, m.id)
	m.id = id
	g.byID[id] = m
	g.byInstance[m.instanceID] = id
}

// update takes over what a member says when it joins again, and the call that waits.
func (g *group) update(m *member, r *JoinRequest, call Call) {
	g.countSpeakers(m, -1)
	m.protocols = r.Protocols
	m.sessionTimeout, m.rebalanceTimeout = r.SessionTimeout, r.RebalanceTimeout
	g.countSpeakers(m, +1)
	g.setJoin(m, call)
}

// setJoin sets or, with 0, clears the JoinGroup that waits.
func (g *group) setJoin(m *member, call Call) {
	if m.join == 0 && call != 0 {
		g.joining++
	} else if m.join != 0 && call == 0 {
		g.joining--
	}
	m.join = call
}

func (g *group) countSpeakers(m *member, n int) {
	for i, p := range m.protocols {
		if slices.ContainsFunc(m.protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
			continue
		}
		if g.speakers[p.Name] += n; g.speakers[p.Name] == 0 {
			delete(g.speakers, p.Name)
		}
	}
}

// allJoined reports whether nobody is left to wait for in the join phase.
func (g *group) allJoined() bool { return len(g.members) <= g.joining && len(g.pendingJoin) == 0 }

// supports reports whether a member with these protocols can be in the group.
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p Protocol) bool { return g.speakers[p.Name] == len(g.members) })
}

// chooseProtocol lets each member vote for the first of its protocols that all speak. Among those with the most votes
// it takes the one the leader likes best.
func (g *group) chooseProtocol() string {
	shared := func(name string) bool { return g.speakers[name] == len(g.members) }
	votes := map[string]int{}
	for _, m := range g.members {
		if name, ok := m.vote(shared); ok {
			votes[name]++
		}
	}
	best, judge := "", g.byID[g.leader]
	if judge == nil {
		judge = g.members[0]
	}
	for _, p := range judge.protocols {
		if votes[p.Name] > votes[best] {
			best = p.Name
		}
	}
	return best
}

// electJoined makes sure that the leader is a member that has joined; false when none has.
func (g *group) electJoined() bool {
	if m := g.byID[g.leader]; m == nil || m.join != 0 {
		return m != nil
	}
	for _, m := range g.members {
		if m.join != 0 {
			g.leader = m.id
			return true
		}
	}
	return false
}

// nextGeneration begins the next generation with the members there are.
func (g *group) nextGeneration(now time.Time) {
	g.generation++
	g.protocol = ""
	next := Empty
	if len(g.members) > 0 {
		g.protocol = g.chooseProtocol()
		next = CompletingRebalance
	}
	g.readTopics()
	g.turn(next, now)
	clear(g.pendingSync)
}

// rebalanceTimeout is the longest of the members'.
func (g *group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// checkMember says whether a request may speak for this member.
func (g *group) checkMember(memberID, instanceID string) error {
	if instanceID != "" {
		owner, ok := g.byInstance[instanceID]
		if !ok {
			return ErrUnknownMember
		}
		if owner != memberID {
			return ErrFencedInstance
		}
	}
	if g.byID[memberID] == nil {
		return ErrUnknownMember
	}
	return nil
}

// joined lists the members for the leader.
func (g *group) joined() []JoinedMember {
	out := make([]JoinedMember, 0, len(g.members))
	for _, m := range g.members {
		out = append(out, JoinedMember{ID: m.id, InstanceID: m.instanceID, Metadata: m.metadata(g.protocol)})
	}
	return out
}

// metadata is the group's record.
func (g *group) metadata(now time.Time) offsetsrecord.Record {
	v := &offsetsrecord.Group{
		ProtocolType: g.protocolType,
		Protocol:     g.protocol,
		Generation:   g.generation,
		Leader:       g.leader,
		StateMs:      now.UnixMilli(),
	}
	for _, m := range g.members {
		v.Members = append(v.Members, offsetsrecord.Member{
			ID:                 m.id,
			InstanceID:         m.instanceID,
			ClientID:           m.clientID,
			ClientHost:         m.clientHost,
			RebalanceTimeoutMs: int32(m.rebalanceTimeout.Milliseconds()),
			SessionTimeoutMs:   int32(m.sessionTimeout.Milliseconds()),
			Subscription:       m.metadata(g.protocol),
			Assignment:         m.assignment,
		})
	}
	return offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: g.id, Value: v}}
}
