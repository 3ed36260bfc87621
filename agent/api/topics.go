package api

import (
	"fmt"

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

// maxTopicName is Kafka's longest name of a topic.
const maxTopicName = 249

// checkTopicName applies Kafka's rules for names.
func checkTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the empty string is not a legal topic name")
	case name == "." || name == "..":
		return fmt.Errorf("topic name cannot be %q", name)
	case len(name) > maxTopicName:
		return fmt.Errorf("topic name is %d characters long, the limit is %d", len(name), maxTopicName)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-' {
			return fmt.Errorf("topic name %q has the character %q, only ASCII letters, digits, '.', '_' and '-' are legal", name, r)
		}
	}
	return nil
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
