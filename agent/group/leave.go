package group

import "time"

// Leave takes members out of a group. When that leaves it empty, the reply waits for the record.
func (m *Machine) Leave(now time.Time, call Call, r LeaveRequest) Decision {
	m.begin(now)
	m.replyWhenCounted(call, m.leave(&r))
	return m.end()
}

func (m *Machine) leave(r *LeaveRequest) LeaveReply {
	if r.Group == "" {
		return LeaveReply{Err: ErrInvalidGroupID}
	}
	g := m.groups[r.Group]
	reply := LeaveReply{Errs: make([]error, len(r.Members))}
	for i, who := range r.Members {
		if g == nil {
			reply.Errs[i] = ErrUnknownMember
			continue
		}
		reply.Errs[i] = m.leaveOne(g, who)
	}
	return reply
}

func (m *Machine) leaveOne(g *group, who LeavingMember) error {
	id := who.MemberID
	if id == "" { // an administrator removes a static member by its instance id
		var ok bool
		if id, ok = g.byInstance[who.InstanceID]; !ok || who.InstanceID == "" {
			return ErrUnknownMember
		}
	} else if _, ok := g.pendingJoin[id]; ok {
		m.cancel(sessionTimer(g, id))
		m.removePending(g, id)
		return nil
	} else if err := g.checkMember(id, who.InstanceID); err != nil {
		return err
	}
	m.cancel(sessionTimer(g, id))
	m.removeMember(g, g.byID[id])
	return nil
}
