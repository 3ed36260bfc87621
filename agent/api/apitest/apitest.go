package apitest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// NodeID is the fake agent's.
const NodeID = 7

// ClusterID is the fake cluster's.
const ClusterID = "fake-cluster"

// Fake is the engines. Hooks are set before the first request.
type Fake struct {
	Agent api.Agent
	// Durable, when set, is waited for by every append with acks.
	Durable <-chan struct{}
	// Refuse, when set, answers appends and reads.
	Refuse func(topic.Partition) error
	// Groups coordinates no partition until a test replaces it or loads one.
	Groups *group.Coordinator
	// Owners, when set, names another owner.
	Owners func(topic.Partition) (api.Owner, bool)
	// Self, when set, is who answers instead of Agent.
	Self int32
	// Others are the other agents, for those who list them.
	Others []api.Agent
	// ReaderIDs are the readers of every partition.
	ReaderIDs []int32
	// Prefer, when set, names the agent that a client of a rack is sent to; 0 for none.
	Prefer func(rack string) int32
	// OnCatchUp, when set, reads the control log.
	OnCatchUp func() error
	// Asked are the moves that were asked for and are under way.
	Asked []api.Move
	// Idempotent are the producers of every partition.
	Idempotent []sequence.Producer

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at every append
	state   *state
	logs    map[topic.Partition]*log
	lastID  int64
}

type log struct {
	batches    []batch
	start, end topic.Offset
}

type batch struct {
	base, next topic.Offset
	time       int64 // largest timestamp
	bytes      []byte
}

// New makes a fake with no topics, reached at host and port.
func New(host string, port int32) *Fake {
	f := &Fake{Agent: api.Agent{NodeID: NodeID, Host: host, Port: port}, changed: make(chan struct{}), logs: map[topic.Partition]*log{}}
	f.Groups = group.New(nil, nil, group.Defaults(), slog.New(slog.DiscardHandler))
	f.state = &state{fake: f, byName: map[string]api.Topic{}}
	return f
}

// Engines is the fake as the router takes it. It coordinates no group.
func (f *Fake) Engines() api.Engines {
	return api.Engines{Log: f, Reader: f, Offsets: f, Starts: f, Cluster: f, Admin: f, Coordinators: f, Groups: f.Groups, Moves: f, Holdings: f}
}

// AddTopic makes a topic.
func (f *Fake) AddTopic(name string, partitions int32, configs topic.Config) api.Topic {
	f.CreateTopics(context.Background(), []api.NewTopic{{Name: name, Partitions: partitions, Configs: configs}})
	t, _ := f.State().TopicByName(name)
	return t
}

// AddInternal makes an internal topic.
func (f *Fake) AddInternal(name string) {
	t := f.AddTopic(name, 1, nil)
	t.Internal = true
	f.change(func(s *state) { s.byName[name] = t })
}

// Append implements api.Log.
func (f *Fake) Append(_ context.Context, acks int8, batches []api.PartitionBatch) []api.Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]api.Pending, len(batches))
	for i, b := range batches {
		out[i] = f.append(acks, b)
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return out
}

func (f *Fake) append(acks int8, b api.PartitionBatch) pending {
	if f.Refuse != nil {
		if err := f.Refuse(b.Partition); err != nil {
			return pending{err: err}
		}
	}
	if len(b.Records) < 61 {
		return pending{err: recordbatch.ErrTruncated}
	}
	l := f.logs[b.Partition]
	if l == nil {
		l = &log{}
		f.logs[b.Partition] = l
	}
	n := topic.Offset(binary.BigEndian.Uint32(b.Records[23:])) + 1
	base := l.end
	binary.BigEndian.PutUint64(b.Records, uint64(base))
	binary.BigEndian.PutUint32(b.Records[12:], 0)
	l.batches = append(l.batches, batch{base, base + n, int64(binary.BigEndian.Uint64(b.Records[35:])), b.Records})
	l.end += n
	p := pending{at: api.Appended{Base: base, LogAppendTime: -1}}
	if acks != 0 {
		p.durable = f.Durable
	}
	return p
}

type pending struct {
	at      api.Appended
	err     error
	durable <-chan struct{}
}

// Wait implements api.Pending.
func (p pending) Wait(ctx context.Context) (api.Appended, error) {
	if p.durable != nil && p.err == nil {
		select {
		case <-p.durable:
		case <-ctx.Done():
			return api.Appended{}, ctx.Err()
		}
	}
	return p.at, p.err
}

// Read implements api.Reader.
func (f *Fake) Read(ctx context.Context, r api.ReadRequest) []api.ReadResult {
	timer := time.NewTimer(r.MaxWait)
	defer timer.Stop()
	for {
		f.mu.Lock()
		out, size, failed := f.read(r)
		changed := f.changed
		f.mu.Unlock()
		if size >= r.MinBytes || failed {
			return out
		}
		select {
		case <-changed:
		case <-timer.C:
			return out
		case <-ctx.Done():
			return out
		}
	}
}

func (f *Fake) read(r api.ReadRequest) (out []api.ReadResult, size int, failed bool) {
	for _, p := range r.Parts {
		l := f.logs[p.Partition]
		if l == nil {
			l = &log{}
		}
		res := api.ReadResult{HighWatermark: l.end, LastStable: l.end, LogStart: l.start}
		if f.Refuse != nil {
			res.Err = f.Refuse(p.Partition)
		}
		if p.Offset < l.start || p.Offset > l.end {
			res.Err = api.ErrOffsetOutOfRange
		}
		if f.Prefer != nil {
			res.Preferred = f.Prefer(r.Rack)
		}
		failed = failed || res.Err != nil || res.Preferred != 0
		got := 0
		for _, b := range l.batches {
			if res.Err != nil || res.Preferred != 0 || b.next <= p.Offset {
				continue
			}
			if n := len(b.bytes); (got+n > p.MaxBytes || size+n > r.MaxBytes) && size > 0 {
				break
			}
			res.Records = append(res.Records, b.bytes)
			got += len(b.bytes)
			size += len(b.bytes)
		}
		out = append(out, res)
	}
	return out, size, failed
}

// Lookup implements api.Offsets.
func (f *Fake) Lookup(_ context.Context, queries []api.OffsetQuery) []api.OffsetFound {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]api.OffsetFound, len(queries))
	for i, q := range queries {
		out[i] = f.lookup(q)
	}
	return out
}

func (f *Fake) lookup(q api.OffsetQuery) api.OffsetFound {
	l := f.logs[q.Partition]
	if l == nil {
		l = &log{}
	}
	found := api.OffsetFound{Offset: -1, Time: -1}
	switch q.Kind {
	case api.OffsetEarliest:
		found.Offset = l.start
	case api.OffsetLatest:
		found.Offset = l.end
	case api.OffsetByTime:
		for _, b := range l.batches {
			if b.time >= q.Time {
				return api.OffsetFound{Offset: b.base, Time: b.time}
			}
		}
	case api.OffsetMaxTimestamp:
		for _, b := range l.batches {
			if b.time > found.Time {
				found.Offset, found.Time = b.next-1, b.time
			}
		}
	}
	return found
}

// Raise implements api.Starts.
func (f *Fake) Raise(_ context.Context, to []api.LogStart) []api.Raised {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]api.Raised, len(to))
	for i, t := range to {
		out[i] = f.raise(t)
	}
	return out
}

func (f *Fake) raise(to api.LogStart) api.Raised {
	if f.Refuse != nil {
		if err := f.Refuse(to.Partition); err != nil {
			return api.Raised{Err: err}
		}
	}
	l := f.logs[to.Partition]
	if l == nil {
		l = &log{}
		f.logs[to.Partition] = l
	}
	if to.Start == api.HighWatermark {
		to.Start = l.end
	}
	if to.Start < 0 || to.Start > l.end {
		return api.Raised{Err: ingest.ErrAhead}
	}
	l.start = max(l.start, to.Start)
	return api.Raised{Start: l.start}
}

// EpochEnds implements api.Offsets: epoch 0 goes on to the end.
func (f *Fake) EpochEnds(_ context.Context, queries []api.EpochQuery) []api.EpochEnd {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]api.EpochEnd, len(queries))
	for i, q := range queries {
		out[i] = api.EpochEnd{Epoch: 0}
		if l := f.logs[q.Partition]; l != nil {
			out[i].End = l.end
		}
	}
	return out
}

// NodeID implements api.Cluster.
func (f *Fake) NodeID() int32 { return cmp.Or(f.Self, f.Agent.NodeID) }

// CatchUp implements api.Cluster.
func (f *Fake) CatchUp(context.Context) error {
	if f.OnCatchUp == nil {
		return nil
	}
	return f.OnCatchUp()
}

// State implements api.Cluster.
func (f *Fake) State() api.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// change swaps the state for one that was changed.
func (f *Fake) change(with func(*state)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := &state{fake: f, byName: map[string]api.Topic{}, configs: topic.Config{}}
	for k, v := range f.state.byName {
		next.byName[k] = v
	}
	for k, v := range f.state.configs {
		next.configs[k] = v
	}
	with(next)
	f.state = next
}

// CreateTopics implements api.Admin.
func (f *Fake) CreateTopics(_ context.Context, topics []api.NewTopic) []api.CreatedTopic {
	out := make([]api.CreatedTopic, len(topics))
	f.change(func(s *state) {
		for i, t := range topics {
			if old, ok := s.byName[t.Name]; ok {
				out[i] = api.CreatedTopic{ID: old.ID, Err: cluster.ErrTopicExists}
				continue
			}
			hash := sha256.Sum256([]byte(t.Name))
			out[i].ID = topic.ID(hash[:16])
			s.byName[t.Name] = api.Topic{ID: out[i].ID, Name: t.Name, Partitions: t.Partitions, Configs: t.Configs}
		}
	})
	return out
}

// DeleteTopics implements api.Admin.
func (f *Fake) DeleteTopics(_ context.Context, ids []topic.ID) []error {
	out := make([]error, len(ids))
	f.change(func(s *state) {
		for i, id := range ids {
			t, ok := s.TopicByID(id)
			if !ok {
				out[i] = api.ErrUnknownTopicID
			}
			delete(s.byName, t.Name)
		}
	})
	return out
}

// CreatePartitions implements api.Admin.
func (f *Fake) CreatePartitions(_ context.Context, topics []api.MorePartitions) []error {
	out := make([]error, len(topics))
	f.change(func(s *state) {
		for i, m := range topics {
			t, ok := s.TopicByID(m.Topic)
			if !ok || t.Partitions != m.Have {
				out[i] = api.ErrStale
				continue
			}
			t.Partitions = m.Total
			s.byName[t.Name] = t
		}
	})
	return out
}

// AlterTopicConfigs implements api.Admin.
func (f *Fake) AlterTopicConfigs(_ context.Context, changes []api.ConfigChange) []error {
	f.change(func(s *state) {
		for _, c := range changes {
			t, _ := s.TopicByID(c.Topic)
			t.Configs = altered(t.Configs, c)
			s.byName[t.Name] = t
		}
	})
	return make([]error, len(changes))
}

// AlterClusterConfigs implements api.Admin.
func (f *Fake) AlterClusterConfigs(_ context.Context, c api.ConfigChange) error {
	f.change(func(s *state) { s.configs = altered(s.configs, c) })
	return nil
}

func altered(old topic.Config, c api.ConfigChange) topic.Config {
	out := topic.Config{}
	for k, v := range old {
		out[k] = v
	}
	for k, v := range c.Set {
		out[k] = v
	}
	for _, k := range c.Delete {
		delete(out, k)
	}
	return out
}

// AllocateProducerID implements api.Admin.
func (f *Fake) AllocateProducerID(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID++
	return f.lastID, nil
}

// Move implements api.Moves: agents of Others whose zone is "full" take nothing.
func (f *Fake) Move(_ context.Context, moves []api.Move) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]error, len(moves))
	for i, m := range moves {
		if slices.ContainsFunc(f.Others, func(a api.Agent) bool { return a.NodeID == m.To && a.Zone == "full" }) {
			out[i] = api.ErrNoTarget
			continue
		}
		f.Asked = append(f.Asked, m)
	}
	return out
}

// UnderWay implements api.Moves.
func (f *Fake) UnderWay() []api.Move {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.Asked)
}

// Size implements api.Holdings.
func (f *Fake) Size(p topic.Partition) (int64, bool) {
	if o, ok := f.State().Owner(p); !ok || o.NodeID != f.Agent.NodeID {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := int64(0)
	if l := f.logs[p]; l != nil {
		for _, b := range l.batches {
			size += int64(len(b.bytes))
		}
	}
	return size, true
}

// Producers implements api.Holdings.
func (f *Fake) Producers(p topic.Partition) ([]sequence.Producer, error) {
	o, ok := f.State().Owner(p)
	switch {
	case !ok:
		return nil, api.ErrUnknownPartition
	case o.NodeID != f.Agent.NodeID:
		return nil, ingest.ErrNotOwner
	}
	return f.Idempotent, nil
}

// Coordinator implements api.Coordinators.
func (f *Fake) Coordinator(_ context.Context, group string) (api.Agent, error) {
	if group == "nowhere" {
		return api.Agent{}, api.ErrCoordinatorNotAvailable
	}
	return f.Agent, nil
}

// state implements api.State. It does not change.
type state struct {
	fake    *Fake
	byName  map[string]api.Topic
	configs topic.Config
}

func (s *state) Info() api.ClusterInfo {
	return api.ClusterInfo{ID: ClusterID, Configs: s.configs, Next: 1}
}

// Agents implements api.State.
func (s *state) Agents() []api.Agent {
	all := append([]api.Agent{s.fake.Agent}, s.fake.Others...)
	slices.SortFunc(all, func(a, b api.Agent) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return all
}

// Readers implements api.State.
func (s *state) Readers(topic.Partition) []int32 { return s.fake.ReaderIDs }

func (s *state) Topics() []api.Topic {
	var all []api.Topic
	for _, t := range s.byName {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b api.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (s *state) TopicByName(name string) (api.Topic, bool) {
	t, ok := s.byName[name]
	return t, ok
}

func (s *state) TopicByID(id topic.ID) (api.Topic, bool) {
	for _, t := range s.byName {
		if t.ID == id {
			return t, true
		}
	}
	return api.Topic{}, false
}

func (s *state) Owner(p topic.Partition) (api.Owner, bool) {
	t, ok := s.TopicByID(p.Topic)
	if !ok || p.Index < 0 || p.Index >= t.Partitions {
		return api.Owner{}, false
	}
	if s.fake.Owners != nil {
		return s.fake.Owners(p)
	}
	return api.Owner{NodeID: NodeID}, true
}
