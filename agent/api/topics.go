package api

import (
	"context"
	"sync"
	"time"

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
// they agree or the client knows none, which it says by -1. Only the owner calls an epoch old. Elsewhere a client is sent
// to the owner (O2): there are clients that follow a hint with NOT_LEADER_OR_FOLLOWER only, and look for the owner by
// themselves after FENCED_LEADER_EPOCH.
func checkEpoch(s State, self int32, p topic.Partition, current int32) int16 {
	owner, ok := s.Owner(p)
	switch {
	case current == -1 || !ok:
		return 0
	case current < int32(owner.Epoch) && owner.NodeID != self:
		return kerr.NotLeaderForPartition.Code
	case current < int32(owner.Epoch):
		return kerr.FencedLeaderEpoch.Code
	case current > int32(owner.Epoch):
		return kerr.UnknownLeaderEpoch.Code
	}
	return 0
}

// locator finds the partitions that one request names together with the partition epoch that its client knows.
type locator struct {
	rt    *Router
	state State
	read  bool // the control log was read for this request
}

// find gives the partition of a topic, which was looked up with code, or the code that refuses it. A client that knows
// a newer epoch than this agent may be right: the control log is read once before it is told otherwise (C3).
func (l *locator) find(ctx context.Context, t Topic, code int16, index, current int32) (topic.Partition, int16) {
	id := topic.Partition{Topic: t.ID, Index: index}
	switch {
	case code != 0:
		return id, code
	case index < 0 || index >= t.Partitions:
		return id, kerr.UnknownTopicOrPartition.Code
	}
	code = checkEpoch(l.state, l.rt.Cluster.NodeID(), id, current)
	if code != kerr.UnknownLeaderEpoch.Code || l.read {
		return id, code
	}
	l.read = true
	if err := l.rt.looks.since(ctx, time.Now()); err != nil {
		return id, code // retriable, and this agent knows no better
	}
	l.state = l.rt.Cluster.State()
	return id, checkEpoch(l.state, l.rt.Cluster.NodeID(), id, current)
}

const (
	lookInterval = 250 * time.Millisecond // between reads of the control log on behalf of clients
	lookTimeout  = 2 * time.Second
)

// looks reads the control log for requests that know more than this agent. One read serves all that wait, at most 4 a
// second: a client that makes up epochs costs no more. Safe for concurrent use.
type looks struct {
	read func(context.Context) error

	mu       sync.Mutex    // guards all below
	began    time.Time     // when the newest read began
	under    chan struct{} // closed at the end of the read under way; nil: none
	answered time.Time     // when the newest read that came to an end had begun
	err      error         // what that read ended with
}

// since returns what a read ended with that began after asked.
func (l *looks) since(ctx context.Context, asked time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for {
		l.mu.Lock()
		if !l.answered.Before(asked) {
			defer l.mu.Unlock()
			return l.err
		}
		under, pause := l.under, lookInterval-time.Since(l.began)
		if under == nil && pause <= 0 {
			l.under, l.began = make(chan struct{}), time.Now()
			l.mu.Unlock()
			l.look(ctx)
		} else {
			l.mu.Unlock()
			wait := time.NewTimer(max(pause, lookInterval/10))
			select {
			case <-under:
			case <-wait.C:
			case <-ctx.Done():
			}
			wait.Stop()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// look reads on behalf of all that wait. What ends because its asker went away is no answer for the others.
func (l *looks) look(ctx context.Context) {
	err := l.read(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() == nil {
		l.answered, l.err = l.began, err
	}
	close(l.under)
	l.under = nil
}

// leaders gathers the KIP-951 hints of a response: who owns what the request came to the wrong agent for.
type leaders struct {
	state State // as new as the errors it explains
	self  int32
	nodes []int32 // named in this response, once each
}

// hint names the owner of p for an answer with that code; ok is false while nobody is known to own it, and while this
// agent, which sends the client away, is the one: it has given the partition away or is about to take it.
func (l *leaders) hint(p topic.Partition, code int16) (owner Owner, ok bool) {
	o, found := l.state.Owner(p)
	if !found || o.NodeID < 0 || o.NodeID == l.self && code == kerr.NotLeaderForPartition.Code {
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

// controllerOf is the agent that is shown as controller: any may be asked, so it is the one that answers, unless its
// journal is over.
func controllerOf(s State, self int32) int32 {
	agents := s.Agents()
	for _, a := range agents {
		if a.NodeID == self {
			return self
		}
	}
	if len(agents) > 0 {
		return agents[0].NodeID
	}
	return -1
}

// rack is an agent's zone as responses carry it.
func rack(a Agent) *string {
	if a.Zone == "" {
		return nil
	}
	return kmsg.StringPtr(a.Zone)
}
