package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/topic"
)

// owned implements pool: the control state gives the partition to this journal, and the journal takes records for it
// under that epoch. It does not yet while state is loaded (F5), and not any more after a RELEASE (M1).
func (s *session) owned(p topic.Partition) error {
	a, ok := s.cluster.State().Owner(p)
	switch {
	case !ok:
		return api.ErrUnknownPartition
	case a.Journal != s.journal:
		return ingest.ErrNotOwner
	}
	if epoch, _, taking := s.ingest.Owns(p); !taking || epoch != a.Epoch {
		return fmt.Errorf("%w at epoch %d now", ingest.ErrNotOwner, a.Epoch)
	}
	return nil
}

// proved implements pool.
func (s *session) proved(ctx context.Context) error { return s.provedSince(ctx, time.Now()) }

// provedSince returns nil when this agent's journal was unsealed at some moment after asked, and its index in memory is what
// counts (O1, I7).
func (s *session) provedSince(ctx context.Context, asked time.Time) error {
	if err := s.slots.ProofSince(ctx, asked); err != nil {
		return err
	}
	return s.cluster.Sound()
}

// synced implements pool.
func (s *session) synced(ctx context.Context, asked time.Time) error {
	return s.cluster.SyncIndex(ctx, asked)
}

// indexed implements pool.
func (s *session) indexed(ctx context.Context, ps []topic.Partition) ([]topic.Offset, error) {
	pin, ok := s.newestEra()
	if !ok {
		return nil, metadata.ErrNotOpen
	}
	ends, err := s.agent.meta.Ends(ctx, pin, ps)
	if err != nil {
		return nil, err
	}
	out := make([]topic.Offset, len(ends))
	for i, e := range ends {
		if out[i] = e.Next; !e.Known {
			out[i] = -1
		}
	}
	return out, nil
}

// exists implements pool.
func (s *session) exists(id topic.ID) bool {
	_, ok := s.cluster.State().TopicByID(id)
	return ok
}

// changed implements pool.
func (s *session) changed() <-chan struct{} { return s.turns.next() }

// zones implements pool.
func (s *session) zones() zones { return zonesOf(s.cluster.Live()) }

// zones are the agents of each zone that has a name.
type zones map[string]*zone

type zone struct {
	journals []topic.JournalID
	nodes    map[topic.JournalID]int32
}

func zonesOf(live []*control.Journal) zones {
	z := zones{}
	for _, j := range live {
		if j.Zone == "" {
			continue
		}
		if z[j.Zone] == nil {
			z[j.Zone] = &zone{nodes: map[topic.JournalID]int32{}}
		}
		z[j.Zone].journals = append(z[j.Zone].journals, j.ID)
		z[j.Zone].nodes[j.ID] = j.NodeID
	}
	return z
}

// nearest names the agent of a zone that clients there read a partition from: all agents name the same one, so that a
// zone reads each partition once.
func (z zones) nearest(p topic.Partition, name string) (nodeID int32, ok bool) {
	here := z[name]
	if here == nil {
		return 0, false
	}
	j, ok := placement.Owner(p, here.journals)
	return here.nodes[j], ok
}

// turnover tells those who wait that partitions were lost. The zero turnover is ready. Safe for concurrent use.
type turnover struct {
	mu sync.Mutex
	ch chan struct{} // closed by the next turn; nil while nobody asked
}

// next gives what the next turn closes.
func (t *turnover) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch == nil {
		t.ch = make(chan struct{})
	}
	return t.ch
}

func (t *turnover) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch != nil {
		close(t.ch)
		t.ch = nil
	}
}
