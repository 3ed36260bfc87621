package group

import (
	"bytes"
	"time"
)

// member is a member of a group.
type member struct {
	id, instanceID       string // instanceID is empty for a dynamic member
	clientID, clientHost string
	sessionTimeout       time.Duration
	rebalanceTimeout     time.Duration
	protocols            []Protocol // in its order of preference
	assignment           []byte
	join, sync           Call // the requests that wait, 0 for none
	isNew                bool // it has not been told a generation yet
}

func (m *member) static() bool { return m.instanceID != "" }

// excused reports whether the member need not send heartbeats now: it waits for us.
func (m *member) excused() bool { return !m.isNew && (m.join != 0 || m.sync != 0) }

// matches reports whether the member's protocols are these, byte for byte.
func (m *member) matches(protocols []Protocol) bool {
	if len(m.protocols) != len(protocols) {
		return false
	}
	for i, p := range m.protocols {
		if p.Name != protocols[i].Name || !bytes.Equal(p.Metadata, protocols[i].Metadata) {
			return false
		}
	}
	return true
}

// metadata is what the member says under a protocol.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// vote names the first of the member's protocols that all share.
func (m *member) vote(shared func(string) bool) (string, bool) {
	for _, p := range m.protocols {
		if shared(p.Name) {
			return p.Name, true
		}
	}
	return "", false
}
