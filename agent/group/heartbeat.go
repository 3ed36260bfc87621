package group

import "time"

// Heartbeat keeps a member's session alive and tells it of a rebalance.
func (m *Machine) Heartbeat(now time.Time, call Call, r HeartbeatRequest) Decision {
	m.begin(now)
	switch err := m.heartbeat(&r); {
	case err == nil || retriable(err):
		m.replyUnproved(call, HeartbeatReply{Err: err}) // O2
	default:
		m.reply(call, HeartbeatReply{Err: err})
	}
	return m.end()
}

func (m *Machine) heartbeat(r *HeartbeatRequest) error {
	if r.Group == "" {
		return ErrInvalidGroupID
	}
	g := m.groups[r.Group]
	if g == nil {
		return ErrUnknownMember
	}
	if err := g.checkMember(r.MemberID, r.InstanceID); err != nil {
		return err
	}
	if r.Generation != g.generation {
		return ErrIllegalGeneration
	}
	switch g.state {
	case Empty:
		return ErrUnknownMember
	case PreparingRebalance:
		m.touch(g, g.byID[r.MemberID])
		return ErrRebalanceInProgress
	default:
		m.touch(g, g.byID[r.MemberID])
		return nil
	}
}
