package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// clusterView is a cluster as it was seen. Times are those of the store's clock at which an object came to be.
type clusterView struct {
	ID      string      `json:"cluster_id"`
	Bucket  string      `json:"bucket"`
	Control numberView  `json:"control"` // the newest control number
	Open    int         `json:"journals_open"`
	Sealed  int         `json:"journals_sealed"`
	Era     *eraView    `json:"era,omitempty"`   // the newest, if one was ever named
	Redis   *redisView  `json:"redis,omitempty"` // if one was asked
	Since   sinceView   `json:"since_checkpoint"`
	Agents  []agentView `json:"agents"` // by node id
	Topics  []topicView `json:"topics"` // by name

	state *control.State
}

// sinceView is how much of the log lies above the newest verified checkpoint: what an agent reads that starts.
type sinceView struct {
	Checkpoint topic.Slot `json:"checkpoint"` // the control number it stands at; 0: there is none
	Made       numberView `json:"made"`       // the number that tells of it
	Control    topic.Slot `json:"control_numbers"`
	Slots      topic.Slot `json:"slots"`
}

type numberView struct {
	Number topic.Slot `json:"number"`
	At     time.Time  `json:"at"`
}

// eraView is an ERA record.
type eraView struct {
	Number        int32      `json:"number"`
	RunID         string     `json:"run_id"`
	ReplicationID string     `json:"replication_id"`
	Named         numberView `json:"named"`
}

func (e *eraView) pin() metadata.Pin {
	return metadata.Pin{Era: uint64(e.Number), RunID: e.RunID, ReplicationID: e.ReplicationID}
}

// agentView is an open journal and the agent that writes it.
type agentView struct {
	NodeID     int32          `json:"node_id"`
	Journal    string         `json:"journal"`
	Address    string         `json:"address"`
	Zone       string         `json:"zone"`
	Weight     int            `json:"weight"`
	Build      string         `json:"build"`
	Partitions int            `json:"partitions"`
	Draining   bool           `json:"draining"`
	Opened     numberView     `json:"opened"`
	Slots      topic.Slot     `json:"slots"`                // slots below it count
	LastWrite  *time.Time     `json:"last_write,omitempty"` // of the newest of them
	SealedAt   *topic.Slot    `json:"sealed_at,omitempty"`  // slot of a seal that no control record tells of
	Heartbeat  *heartbeatView `json:"heartbeat,omitempty"`  // if Redis could be asked
	Indexed    *topic.Slot    `json:"indexed,omitempty"`    // slots below it are in the open era
	Behind     *topic.Slot    `json:"behind,omitempty"`     // of Slots, how many are not

	journal *control.Journal
}

// heartbeatView is a heartbeat as it was watched for a while.
type heartbeatView struct {
	Registered bool    `json:"registered"`
	Counter    uint64  `json:"counter"`
	Moving     bool    `json:"moving"`
	StillS     float64 `json:"still_seconds"` // since it moved last, or since the watch began
}

// redisView is what Redis says of the newest era.
type redisView struct {
	URL           string     `json:"url"`
	Problem       string     `json:"problem,omitempty"` // why it could not be asked
	RunID         string     `json:"run_id,omitempty"`
	ReplicationID string     `json:"replication_id,omitempty"`
	OpenEra       uint64     `json:"open_era"` // that it holds for itself; 0: none
	Building      bool       `json:"building"` // the newest era is begun and not open
	Progress      uint64     `json:"progress"`
	Applied       topic.Slot `json:"applied"`        // newest control number that the newest era knows
	ControlBehind topic.Slot `json:"control_behind"` // how many it does not
	SlotsBehind   topic.Slot `json:"slots_behind"`   // of all journals
	WatchedS      float64    `json:"watched_seconds"`

	status metadata.EraStatus
}

type topicView struct {
	Name       string          `json:"name"`
	ID         string          `json:"id"`
	Internal   bool            `json:"internal"`
	Partitions []partitionView `json:"partitions"`
}

type partitionView struct {
	Index   int32        `json:"index"`
	NodeID  int32        `json:"node_id"` // its owner's
	Journal string       `json:"journal"`
	Epoch   topic.Epoch  `json:"epoch"`
	Base    topic.Offset `json:"base"`

	Why         gained `json:"why"`                    // how the owner came by it
	FromNode    int32  `json:"from_node,omitempty"`    // who had it before, if the log still says which node that was
	FromJournal string `json:"from_journal,omitempty"` // its journal
}

// gained is how an owner came by a partition.
type gained string

const (
	byCreation gained = "created"    // with the topic, or with more partitions of it
	byMove     gained = "moved"      // the owner before gave it away
	byTakeover gained = "taken over" // the journal of the owner before was sealed
)

func newPartitionView(s *control.State, a control.Assignment) partitionView {
	owner, _ := s.Journal(a.Journal)
	v := partitionView{Index: a.Partition.Index, NodeID: owner.NodeID, Journal: a.Journal.String(), Epoch: a.Epoch, Base: a.Base, Why: byCreation}
	if a.From == (topic.JournalID{}) {
		return v
	}
	before, _ := s.Journal(a.From)
	v.Why, v.FromNode, v.FromJournal = byTakeover, before.NodeID, a.From.String()
	if a.Moved {
		v.Why = byMove
	}
	return v
}

// why words how the owner came by the partition.
func (v partitionView) why() string {
	switch {
	case v.Why == byCreation:
		return string(v.Why)
	case v.FromNode == 0: // its journal was forgotten
		return string(v.Why) + " from journal " + v.FromJournal
	}
	return fmt.Sprintf("%s from node %d", v.Why, v.FromNode)
}

// view looks at the cluster. Redis is watched until every heartbeat has moved and all that counted when the look began
// is indexed, but not for longer than most.
func (p pool) view(ctx context.Context, most time.Duration) (*clusterView, error) {
	store, text, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	meta, url, err := p.redis(ctx)
	if err != nil {
		return nil, err
	}
	v := &clusterView{Bucket: text, state: control.New(), Agents: []agentView{}, Topics: []topicView{}}
	if err := v.readControl(ctx, store); err != nil {
		return nil, err
	}
	if err := v.lookAtAgents(ctx, store); err != nil {
		return nil, err
	}
	if err := v.measure(ctx, store); err != nil {
		return nil, err
	}
	v.listTopics()
	if meta != nil {
		defer meta.Close()
		v.Redis = &redisView{URL: url}
		v.watch(ctx, meta, most)
	}
	return v, ctx.Err()
}

func (v *clusterView) readControl(ctx context.Context, store objectstore.Store) error {
	var err error
	if v.state, _, err = verify.Beginning(ctx, store, reads); err != nil {
		return fmt.Errorf("%s: %w", v.Bucket, err)
	}
	if era, ok := v.state.NewestEra(); ok { // by which number it was named is not known any more
		v.Era = &eraView{Number: era.Number, RunID: era.RunID, ReplicationID: era.ReplicationID}
	}
	err = verify.EachControl(ctx, store, v.state, reads, func(n verify.Number) error {
		for i, r := range n.Records {
			if era, ok := r.(control.Era); ok && !n.Outcomes[i].Void {
				v.Era = &eraView{Number: era.Number, RunID: era.RunID, ReplicationID: era.ReplicationID, Named: numberView{Number: n.N}}
			}
		}
		v.state = n.After
		return nil
	})
	if err != nil {
		return err
	}
	if v.state.Next() == 0 {
		return fmt.Errorf("%s: %w", v.Bucket, errNoCluster)
	}
	v.ID, v.Control.Number = v.state.ClusterID(), v.state.Next()-1
	numbers := []*numberView{&v.Control}
	if v.Era != nil && v.Era.Named.Number > 0 {
		numbers = append(numbers, &v.Era.Named)
	}
	for _, n := range numbers {
		if n.At, err = modified(ctx, store, slotlog.ControlKey(n.Number)); err != nil {
			return err
		}
	}
	return nil
}

func modified(ctx context.Context, store objectstore.Store, key string) (time.Time, error) {
	info, err := store.Head(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("head %s: %w", key, err)
	}
	return info.Modified.UTC(), nil
}

// lookAtAgents lists the open journals and finds how far each got.
func (v *clusterView) lookAtAgents(ctx context.Context, store objectstore.Store) error {
	for j := range v.state.Journals() {
		if j.Sealed {
			v.Sealed++
		}
	}
	for _, j := range v.state.OpenJournals() {
		v.Open++
		a := agentView{
			NodeID: j.NodeID, Journal: j.ID.String(), Zone: j.Zone, Weight: j.Weight, Build: j.Build, Partitions: j.Partitions(), Draining: j.Draining,
			Opened: numberView{Number: j.Opened}, journal: j,
		}
		if e, ok := j.Endpoint("kafka"); ok {
			a.Address = fmt.Sprintf("%s:%d", e.Host, e.Port)
		}
		if err := a.findEnd(ctx, store); err != nil {
			return err
		}
		v.Agents = append(v.Agents, a)
	}
	slices.SortFunc(v.Agents, func(a, b agentView) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return nil
}

// measure tells how old the newest checkpoint is and how much lies above it.
func (v *clusterView) measure(ctx context.Context, store objectstore.Store) error {
	newest, ok := v.state.NewestCheckpoint()
	v.Since = sinceView{Checkpoint: newest.Control, Control: v.state.Next()}
	if ok {
		v.Since.Control -= newest.Control + 1
		v.Since.Made.Number = newest.At
		var err error
		if v.Since.Made.At, err = modified(ctx, store, slotlog.ControlKey(newest.At)); err != nil && !errors.Is(err, objectstore.ErrNotFound) {
			return err // else the record is older than those that are kept (G4)
		}
	}
	add := func(j *control.Journal, end topic.Slot) {
		if next := max(newest.Next(j.ID), j.Trim); end > next {
			v.Since.Slots += end - next
		}
	}
	for j := range v.state.Journals() {
		if j.Sealed {
			add(j, j.SealSlot)
		}
	}
	for _, a := range v.Agents {
		add(a.journal, a.Slots)
	}
	return nil
}

// findEnd finds where a journal ends now, and when it was written last.
func (a *agentView) findEnd(ctx context.Context, store objectstore.Store) error {
	j := a.journal
	var err error
	if a.Slots, a.SealedAt, err = endOf(ctx, store, j); err != nil {
		return err
	}
	if a.Opened.At, err = modified(ctx, store, slotlog.ControlKey(j.Opened)); err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return err // else the record is older than those that are kept (G4)
	}
	if a.Slots > j.Trim {
		at, err := modified(ctx, store, slotlog.JournalKey(j.ID, a.Slots-1))
		if err != nil {
			return err
		}
		a.LastWrite = &at
	}
	return nil
}

// endOf finds the first slot of a journal that does not count now, and the slot of its seal if that is what is there.
func endOf(ctx context.Context, store objectstore.Store, j *control.Journal) (end topic.Slot, seal *topic.Slot, err error) {
	if end, err = slotlog.FirstToSeal(ctx, store, j.ID, j.Trim, j.K); err != nil {
		return 0, nil, err
	}
	err = verify.EachTail(ctx, store, j.ID, end, math.MaxUint64, reads, func(t verify.Tail) (bool, error) {
		if t.Kind == slotlog.Seal {
			seal = &t.Slot
			return false, nil
		}
		end = t.Slot + 1
		return true, nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("find the end of journal %s: %w", j.ID, err)
	}
	return end, seal, nil
}

func (v *clusterView) listTopics() {
	for t := range v.state.Topics() {
		out := topicView{Name: t.Name, ID: t.ID.String(), Internal: t.Internal}
		for i := range t.Partitions() {
			out.Partitions = append(out.Partitions, newPartitionView(v.state, t.Owner(i)))
		}
		v.Topics = append(v.Topics, out)
	}
}

const lookAgain = 100 * time.Millisecond // between two looks at Redis

// watch looks at Redis until all moves and is in step with what was seen in the bucket, or most has passed.
func (v *clusterView) watch(ctx context.Context, meta metadata.Store, most time.Duration) {
	if v.Era == nil {
		status, err := meta.Current(ctx, 0)
		v.Redis.take(status, err)
		return
	}
	began := time.Now()
	w := beatWatch{began: began, moved: map[topic.JournalID]time.Time{}, first: map[topic.JournalID]uint64{}}
	for {
		status, err := meta.Current(ctx, uint64(v.Era.Number))
		if err == nil && ours(status, v.Era) {
			err = w.look(ctx, meta, v.Era.pin())
		}
		v.Redis.take(status, err)
		v.compare(w, time.Since(began))
		if err == nil && (v.inStep() || !ours(status, v.Era)) || time.Since(began) >= most {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookAgain):
		}
	}
}

// ours says whether a Redis is the one that an era names.
func ours(s metadata.EraStatus, e *eraView) bool {
	return s.RunID == e.RunID && s.ReplicationID == e.ReplicationID
}

func (r *redisView) take(s metadata.EraStatus, err error) {
	r.Problem = ""
	if err != nil {
		r.Problem = away(err)
		return
	}
	r.status = s
	r.RunID, r.ReplicationID = s.RunID, s.ReplicationID
	r.OpenEra = 0
	if s.OpenPinned {
		r.OpenEra = s.OpenEra
	}
	r.Building, r.Progress, r.Applied = s.Begun && !s.Open(), s.Progress, s.Applied
}

// beatWatch is the counters of heartbeats over a while.
type beatWatch struct {
	began time.Time
	first map[topic.JournalID]uint64
	last  map[topic.JournalID]uint64
	moved map[topic.JournalID]time.Time // when a counter was first seen at its newest value, if it ever moved
}

func (w *beatWatch) look(ctx context.Context, meta metadata.Store, pin metadata.Pin) error {
	now, err := meta.Counters(ctx, pin)
	if errors.Is(err, metadata.ErrEra) { // of nobody: the era is not there
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	for j, n := range now {
		if _, known := w.first[j]; !known {
			w.first[j] = n
		} else if w.last[j] != n {
			w.moved[j] = time.Now()
		}
	}
	w.last = now
	return nil
}

func (w *beatWatch) of(j topic.JournalID) *heartbeatView {
	counter, registered := w.last[j]
	since, moving := w.moved[j]
	if !moving {
		since = w.began
	}
	return &heartbeatView{Registered: registered, Counter: counter, Moving: moving, StillS: seconds(time.Since(since))}
}

// compare fills in what Redis says of each agent and how far the index is behind.
func (v *clusterView) compare(w beatWatch, watched time.Duration) {
	r := v.Redis
	r.WatchedS, r.ControlBehind, r.SlotsBehind = seconds(watched), 0, 0
	for i := range v.Agents {
		a := &v.Agents[i]
		a.Heartbeat, a.Indexed, a.Behind = nil, nil, nil
		if r.Problem == "" && ours(r.status, v.Era) {
			a.Heartbeat = w.of(a.journal.ID)
			next := r.status.Journals[a.journal.ID].Next
			behind := a.Slots - min(a.Slots, next)
			a.Indexed, a.Behind = &next, &behind
			r.SlotsBehind += behind
		}
	}
	if r.Problem != "" || !ours(r.status, v.Era) {
		return
	}
	r.ControlBehind = v.Control.Number - min(v.Control.Number, r.Applied)
	for j := range v.state.Journals() {
		if j.Sealed {
			r.SlotsBehind += j.SealSlot - min(j.SealSlot, r.status.Journals[j.ID].Next)
		}
	}
}

// inStep says whether there is nothing left to wait for.
func (v *clusterView) inStep() bool {
	for _, a := range v.Agents {
		if a.Heartbeat == nil || !a.Heartbeat.Moving {
			return false
		}
	}
	return v.Redis.status.Open() && v.Redis.ControlBehind == 0 && v.Redis.SlotsBehind == 0
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Millisecond).Milliseconds()) / 1000
}
