package group

import (
	"slices"
	"time"
)

// Describe gives a picture of a group.
func (m *Machine) Describe(now time.Time, call Call, r DescribeRequest) Decision {
	m.begin(now)
	m.reply(call, m.describe(r.Group))
	return m.end()
}

func (m *Machine) describe(id string) DescribeReply {
	g := m.groups[id]
	if g == nil {
		return DescribeReply{Err: ErrGroupNotFound, State: Dead}
	}
	reply := DescribeReply{State: g.state, ProtocolType: g.protocolType}
	if g.state == Stable {
		reply.Protocol = g.protocol
	}
	for _, x := range g.members {
		p := MemberPicture{ID: x.id, InstanceID: x.instanceID, ClientID: x.clientID, ClientHost: x.clientHost}
		if g.state == Stable {
			p.Metadata, p.Assignment = x.metadata(g.protocol), x.assignment
		}
		reply.Members = append(reply.Members, p)
	}
	return reply
}

// List lists the groups by id.
func (m *Machine) List(now time.Time, call Call) Decision {
	m.begin(now)
	var reply ListReply
	for _, id := range sortedKeys(m.groups) {
		g := m.groups[id]
		reply.Groups = append(reply.Groups, Listing{Group: id, ProtocolType: g.protocolType, State: g.state})
	}
	m.reply(call, reply)
	return m.end()
}

// Delete deletes a group without members and its offsets. The reply waits for the records.
func (m *Machine) Delete(now time.Time, call Call, r DeleteRequest) Decision {
	m.begin(now)
	m.replyWhenCounted(call, DeleteReply{Err: m.delete(r.Group)})
	return m.end()
}

func (m *Machine) delete(id string) error {
	g := m.groups[id]
	if g == nil {
		return ErrGroupNotFound
	}
	if g.state != Empty {
		return ErrGroupNotEmpty
	}
	var parts []TopicPartition
	if t := m.offsets[id]; t != nil {
		for p := range t.entries {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, comparePartitions)
	for _, p := range parts {
		m.deleteOffset(id, p)
	}
	m.forget(g)
	return nil
}
