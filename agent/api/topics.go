package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// findTopic looks a topic up as a request names it: by id from the version on in which ids came, else by name. The
// code is UNKNOWN_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION when there is none.
func findTopic(s State, byID bool, id topic.ID, name string) (Topic, int16) {
	if byID {
		t, ok := s.TopicByID(id)
		if !ok {
			return Topic{}, kerr.UnknownTopicID.Code
		}
		return t, 0
	}
	t, ok := s.TopicByName(name)
	if !ok {
		return Topic{}, kerr.UnknownTopicOrPartition.Code
	}
	return t, 0
}

// checkEpoch compares the partition epoch that a client knows with ours: the code for an older or a newer one, 0 when
// they agree or the client knows none, which it says by -1.
func checkEpoch(s State, p topic.Partition, current int32) int16 {
	owner, ok := s.Owner(p)
	switch {
	case current == -1 || !ok:
		return 0
	case current < int32(owner.Epoch):
		return kerr.FencedLeaderEpoch.Code
	case current > int32(owner.Epoch):
		return kerr.UnknownLeaderEpoch.Code
	}
	return 0
}

// leaders gathers the KIP-951 hints of a response: who owns what the request came to the wrong agent for.
type leaders struct {
	state State
	nodes []int32 // named in this response, once each
}

// hint names the owner of p; ok is false while nobody is known to own it.
func (l *leaders) hint(p topic.Partition) (owner Owner, ok bool) {
	o, found := l.state.Owner(p)
	if !found || o.NodeID < 0 {
		return Owner{}, false
	}
	for _, n := range l.nodes {
		if n == o.NodeID {
			return o, true
		}
	}
	l.nodes = append(l.nodes, o.NodeID)
	return o, true
}

// agents lists the agents that hints name.
func (l *leaders) agents() []Agent {
	if len(l.nodes) == 0 {
		return nil
	}
	var named []Agent
	for _, a := range l.state.Agents() {
		for _, n := range l.nodes {
			if a.NodeID == n {
				named = append(named, a)
			}
		}
	}
	return named
}

// isLeaderError tells whether a code deserves a hint.
func isLeaderError(code int16) bool {
	return code == kerr.NotLeaderForPartition.Code || code == kerr.FencedLeaderEpoch.Code
}

// rack is an agent's zone as responses carry it.
func rack(a Agent) *string {
	if a.Zone == "" {
		return nil
	}
	return kmsg.StringPtr(a.Zone)
}
