package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

var (
	mine    = topic.Partition{Topic: topic.ID{1}}
	theirs  = topic.Partition{Topic: topic.ID{2}}
	deleted = topic.Partition{Topic: topic.ID{3}}
)

var errAway = errors.New("redis away")

// fakePool is a pool in which this agent owns mine and another one theirs; agent 8 is in zone b.
type fakePool struct {
	turnover
	lost      atomic.Bool // mine is released or given away
	proof     error       // of this agent's journal
	onProof   func()
	sync      error // of the index copy
	onSync    func()
	behind    topic.Offset // of the index copy
	away      error        // of the index copy, after the wait
	syncs     int
	proofs    int
	syncAsked time.Time
}

func (f *fakePool) owned(p topic.Partition) error {
	switch {
	case p == deleted:
		return api.ErrUnknownPartition
	case p == theirs || f.lost.Load():
		return ingest.ErrNotOwner
	}
	return nil
}

func (f *fakePool) proved(context.Context) error {
	f.proofs++
	if f.onProof != nil {
		f.onProof()
	}
	return f.proof
}

func (f *fakePool) synced(_ context.Context, asked time.Time) error {
	f.syncs++
	f.syncAsked = asked
	if f.onSync != nil {
		f.onSync()
	}
	return f.sync
}

func (d *desk) indexed(_ context.Context, ps []topic.Partition) ([]topic.Offset, error) {
	ends := make([]topic.Offset, len(ps))
	for i, p := range ps {
		_, end := d.fetch.Bounds(p)
		ends[i] = end - d.behind
	}
	return ends, d.away
}

func (f *fakePool) zones() zones {
	return zonesOf([]*control.Journal{{ID: topic.JournalID{1}, NodeID: 7, Zone: "a"}, {ID: topic.JournalID{8}, NodeID: 8, Zone: "b"}})
}

func (f *fakePool) exists(id topic.ID) bool { return id != deleted.Topic }

func (f *fakePool) changed() <-chan struct{} { return f.next() }

// desk is a reader in zone a over a fakePool.
type desk struct {
	reader
	*fakePool
	shown fetch.Shown

	mu   sync.Mutex // guards slot
	slot topic.Slot
}

func newDesk() *desk {
	d := &desk{fakePool: &fakePool{}}
	d.reader = reader{pool: d, fetch: fetch.New(memory.New(), fetch.Config{TailBytes: 1 << 20, CatchUpBytes: 1 << 20}), shown: &d.shown, zone: "a"}
	return d
}

// write makes n records of a partition count, as of base.
func (d *desk) write(t *testing.T, p topic.Partition, base topic.Offset, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	records := make([]recordbatch.Record, n)
	run := segment.Run{Partition: p, Base: base, Next: base + topic.Offset(n),
		Batches: [][]byte{recordbatch.Build(recordbatch.Draft{Base: base, Records: records})}}
	o, err := segment.Build(segment.Footer{Journal: topic.JournalID{1}, Slot: d.slot}, []segment.Run{run}, segment.None)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.fetch.AddTail(topic.JournalID{1}, o.Footer.Repeated(), []segment.Run{run}); err != nil {
		t.Fatal(err)
	}
	d.slot++
}

// read asks for one partition.
func (d *desk) read(t *testing.T, rack string, p topic.Partition, offset topic.Offset, wait time.Duration) api.ReadResult {
	t.Helper()
	return d.Read(t.Context(), api.ReadRequest{MaxWait: wait, MinBytes: 1, MaxBytes: 1 << 20, Rack: rack,
		Parts: []api.ReadPart{{Partition: p, Offset: offset, MaxBytes: 1 << 20}}})[0]
}

func TestRead_WhoServesWhom(t *testing.T) {
	for _, c := range []struct {
		name      string
		rack      string
		partition topic.Partition
		offset    topic.Offset
		sync      error
		records   bool
		preferred int32
		err       error
		syncs     int
	}{
		{name: "owner, a client without rack", partition: mine, records: true},
		{name: "owner, a client of its zone", rack: "a", partition: mine, records: true},
		{name: "owner, a client of a zone with an agent", rack: "b", partition: mine, preferred: 8, syncs: 1},
		{name: "owner, a client of a zone without one", rack: "c", partition: mine, records: true},
		{name: "owner, another zone and Redis away", rack: "b", partition: mine, sync: errAway, records: true, syncs: 1},
		{name: "owner, another zone at the end", rack: "b", partition: mine, offset: 3, preferred: 8, syncs: 1},
		{name: "owner, another zone out of range", rack: "b", partition: mine, offset: 9, err: fetch.ErrOutOfRange},
		{name: "follower, a client without rack", partition: theirs, err: ingest.ErrNotOwner},
		{name: "follower, a client of its zone", rack: "a", partition: theirs, records: true, syncs: 1},
		{name: "follower, a client of another zone", rack: "b", partition: theirs, err: ingest.ErrNotOwner},
		{name: "follower, Redis away", rack: "a", partition: theirs, sync: errAway, err: ingest.ErrNotOwner, syncs: 1},
		{name: "follower, above what it knows", rack: "a", partition: theirs, offset: 9, err: fetch.ErrNotKnown, syncs: 1},
		{name: "follower, below log start", rack: "a", partition: theirs, offset: -1, err: fetch.ErrNotKnown, syncs: 1},
		{name: "a deleted topic", rack: "a", partition: deleted, err: api.ErrUnknownPartition},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk()
			d.write(t, mine, 0, 3)
			d.write(t, theirs, 0, 3)
			d.sync = c.sync
			asked := time.Now()
			r := d.read(t, c.rack, c.partition, c.offset, 0)
			if !errors.Is(r.Err, c.err) || (len(r.Records) > 0) != c.records || r.Preferred != c.preferred {
				t.Errorf("%+v", r)
			}
			if c.err == nil && (r.HighWatermark != 3 || r.LogStart != 0) || c.err != nil && r.HighWatermark != -1 {
				t.Errorf("high watermark %d, log start %d", r.HighWatermark, r.LogStart)
			}
			if errors.Is(r.Err, fetch.ErrOutOfRange) != (c.err == fetch.ErrOutOfRange) {
				t.Errorf("out of range: %v", r.Err)
			}
			if d.syncs != c.syncs || c.syncs > 0 && d.syncAsked.Before(asked) {
				t.Errorf("%d looks at the index copy, want %d, begun after the request", d.syncs, c.syncs)
			}
		})
	}
}

// I7: what a follower knows and the index copy does not hold is not shown: another one would show less.
func TestRead_AFollowerShowsNothingAheadOfTheIndexCopy(t *testing.T) {
	d := newDesk()
	d.write(t, theirs, 0, 3)
	ask := func() api.ReadResult {
		return d.Read(t.Context(), api.ReadRequest{Rack: "a", MaxBytes: 1 << 20, Parts: []api.ReadPart{{Partition: theirs, MaxBytes: 1 << 20}}})[0]
	}
	if r := ask(); r.Err != nil || r.HighWatermark != 3 {
		t.Fatalf("%+v", r)
	}
	d.behind = 1
	if r := ask(); !errors.Is(r.Err, ingest.ErrNotOwner) || len(r.Records) != 0 {
		t.Errorf("an index copy that is behind: %+v", r)
	}
	d.behind, d.away = 0, errAway
	if r := ask(); !errors.Is(r.Err, ingest.ErrNotOwner) || len(r.Records) != 0 {
		t.Errorf("an index copy that is away: %+v", r)
	}
}

func TestRead_OneLookServesAllParts(t *testing.T) {
	d := newDesk()
	parts := make([]api.ReadPart, 5)
	for i := range parts {
		parts[i] = api.ReadPart{Partition: topic.Partition{Topic: theirs.Topic}, Offset: 0, MaxBytes: 100}
	}
	d.Read(t.Context(), api.ReadRequest{Rack: "a", Parts: parts})
	if d.syncs != 1 {
		t.Errorf("%d looks", d.syncs)
	}
}

func TestRead_AFollowersLongPollWakesThroughTheMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.write(t, theirs, 0, 3)
		time.AfterFunc(time.Second, func() { d.write(t, theirs, 3, 1) })
		for _, offset := range []topic.Offset{3, 4} { // at the end, and above it: the owner knew more
			began := time.Now()
			r := d.read(t, "a", theirs, offset, time.Minute)
			if offset == 3 && (r.Err != nil || len(r.Records) == 0 || r.HighWatermark != 4 || time.Since(began) != time.Second) {
				t.Errorf("at the end: %+v after %v", r, time.Since(began))
			}
			if offset == 4 {
				if r.Err != nil || r.HighWatermark != 5 || time.Since(began) != time.Second {
					t.Errorf("at 4: %+v after %v", r, time.Since(began))
				}
			}
			time.AfterFunc(time.Second, func() { d.write(t, theirs, 4, 1) })
		}
	})
}

func TestRead_OutOfRangeNeedsAProofThatHoldsForThePartition(t *testing.T) {
	for _, c := range []struct {
		name    string
		proof   error
		onProof func(*testing.T, *desk)
		want    error
	}{
		{name: "proved", want: fetch.ErrOutOfRange},
		{name: "not proved", proof: errAway, want: api.ErrUnproved},
		{name: "released meanwhile", onProof: func(_ *testing.T, d *desk) { d.lost.Store(true) }, want: ingest.ErrNotOwner},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk()
			d.write(t, mine, 0, 3)
			d.proof = c.proof
			if c.onProof != nil {
				d.onProof = func() { c.onProof(t, d) }
			}
			rs := d.Read(t.Context(), api.ReadRequest{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 100, Parts: []api.ReadPart{
				{Partition: mine, Offset: 7, MaxBytes: 100}, {Partition: mine, Offset: 8, MaxBytes: 100},
			}})
			for i, r := range rs {
				if !errors.Is(r.Err, c.want) || c.want != fetch.ErrOutOfRange && errors.Is(r.Err, fetch.ErrOutOfRange) {
					t.Errorf("part %d: %v, want %v", i, r.Err, c.want)
				}
			}
			if d.proofs != 1 {
				t.Errorf("%d proofs", d.proofs)
			}
		})
	}
}

func TestRead_ALostPartitionEndsTheLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.write(t, mine, 0, 3)
		time.AfterFunc(time.Second, func() {
			d.lost.Store(true)
			d.turn()
		})
		began := time.Now()
		r := d.read(t, "", mine, 3, time.Hour)
		if !errors.Is(r.Err, ingest.ErrNotOwner) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", r.Err, time.Since(began))
		}
	})
}

func TestRead_TheHighWatermarkNeverGoesBackWithANewJournal(t *testing.T) {
	before := newDesk()
	before.write(t, theirs, 0, 3)
	if r := before.read(t, "a", theirs, 0, 0); r.HighWatermark != 3 {
		t.Fatalf("%+v", r)
	}
	after := newDesk()
	after.reader.shown = &before.shown
	after.write(t, theirs, 0, 2)
	if r := after.read(t, "a", theirs, 0, 0); !errors.Is(r.Err, fetch.ErrBehind) || r.HighWatermark != -1 {
		t.Errorf("%+v", r)
	}
	after.write(t, theirs, 2, 1)
	if r := after.read(t, "a", theirs, 0, 0); r.Err != nil || r.HighWatermark != 3 {
		t.Errorf("%+v", r)
	}
}
