package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// simCompaction makes checkpoints every few seconds, and forgets them soon. In half of the seeds both rest for longer: what is
// stored does not change all the time then, and a seed costs less.
func (p *simPool) simCompaction(set *settings.Settings) compaction.Config {
	every := time.Second
	if p.rests {
		every = 4 * time.Second
	}
	set.Checkpoint = settings.Checkpoint{Slots: 60, Interval: 2 * every}
	return compaction.Config{
		Records: 12, LeastSlots: 4, LeastRecords: 4, Stagger: 800 * time.Millisecond, Look: 300 * time.Millisecond,
		Sweep: 2 * time.Second, Grace: 4 * time.Second, MostExtents: 400,
		Merge: compaction.MergeConfig{
			Bytes: 8 << 10, Slots: 20, Interval: 4 * every, InputBytes: 256 << 10, Objects: 3, ObjectBytes: 64 << 10, RestBytes: 32 << 10,
			Codec: segment.S2, // zstd has encoders that wait for each other, across bubbles
		},
		Garbage: compaction.GarbageConfig{Trim: time.Second, Sweep: 5 * time.Second},
	}
}

// checkpointKeys lists the keys of checkpoints in the bucket that a function picks.
func (p *simPool) checkpointKeys(pick func(key string) bool) (keys []string) {
	_ = p.bucket.List(context.Background(), checkpoint.Prefix, func(i objectstore.Info) error {
		if pick(i.Key) {
			keys = append(keys, i.Key)
		}
		return nil
	})
	return keys
}

// swap puts something else in the place of an object, nothing with nil, and gives what puts it back. One that another
// fault has swapped is left alone.
func (p *simPool) swap(key string, with []byte) (back func()) {
	ctx := context.Background()
	was, err := p.bucket.Get(ctx, key)
	if err != nil || !p.book.spoils(key, true) {
		return func() {}
	}
	if p.bucket.Delete(ctx, key) == nil && with != nil {
		_ = p.bucket.Create(ctx, key, objectstore.NewBody(with))
	}
	return func() {
		_ = p.bucket.Delete(ctx, key)
		_ = p.bucket.Create(ctx, key, objectstore.NewBody(was))
		p.book.spoils(key, false)
	}
}

// spoils notes that an object is swapped from now on, or no longer. It is not ok for one that is already.
func (b *simBook) spoils(key string, on bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if on && b.spoiled[key] {
		return false
	}
	b.spoiled[key] = on
	return true
}

// needed lets somebody need a checkpoint: an agent begins anew, or the index copy is lost.
func (f *simFault) needed(p *simPool) {
	if f.r.IntN(2) == 0 {
		p.book.troubles()()
		p.world.Forget()
	}
	if x := f.victim(p, true); x != nil {
		p.book.troubles(x)
		x.kill()
		time.Sleep(f.lasts / 8)
		p.again(x.on)
	}
}

// checkpointsDamaged changes or takes away objects of checkpoints, the newest head among them, while they are needed.
func (f *simFault) checkpointsDamaged(p *simPool) {
	head := func(key string) bool { return !strings.HasPrefix(key, checkpoint.PartPrefix) }
	heads := p.checkpointKeys(head)
	parts := p.checkpointKeys(func(key string) bool { return !head(key) })
	var keys []string
	if n := len(heads); n > 0 {
		keys = heads[max(0, n-1-f.r.IntN(3)):]
	}
	if f.r.IntN(2) == 0 {
		keys = nil
	}
	for _, key := range parts {
		if f.r.IntN(3) == 0 {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return
	}
	f.begins(p, fmt.Sprintf("%d objects", len(keys)))
	defer p.book.troubles()()
	var backs []func()
	for _, key := range keys {
		var with []byte
		if was, err := p.bucket.Get(context.Background(), key); err == nil && f.r.IntN(2) == 0 {
			with = damaged(was, f.r.Float64(), byte(1+f.r.IntN(255)), f.r.IntN(2) == 0)
		}
		backs = append(backs, p.swap(key, with))
	}
	f.needed(p)
	time.Sleep(f.lasts)
	for _, back := range backs {
		back()
	}
	p.book.extra[simSpoiled].Add(int64(len(keys)))
}

// checkpointsHidden lets the bucket forget the newest checkpoints for a while, as if they had never been written.
func (f *simFault) checkpointsHidden(p *simPool) {
	state, _, err := p.controlLog()
	if err != nil {
		return
	}
	newest, ok := state.NewestCheckpoint()
	if !ok {
		return
	}
	from := fmt.Sprintf("%016x", uint64(newest.Control))
	keys := p.checkpointKeys(func(key string) bool {
		return strings.TrimPrefix(strings.TrimPrefix(key, checkpoint.PartPrefix), checkpoint.Prefix) >= from
	})
	f.begins(p, fmt.Sprintf("%d objects from %d on", len(keys), newest.Control))
	defer p.book.troubles()()
	var backs []func()
	for _, key := range keys {
		backs = append(backs, p.swap(key, nil))
	}
	f.needed(p)
	time.Sleep(f.lasts)
	for _, back := range backs {
		back()
	}
	p.book.extra[simSpoiled].Add(int64(len(keys)))
}

// checkpointsSlow lets what an agent writes of checkpoints take so long that others come first, and some of it land later.
func (f *simFault) checkpointsSlow(p *simPool) {
	xs := f.some(p)
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		r := p.draws(fmt.Sprintf("slow checkpoints %d of %s", f.number, x.name))
		x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
			of := x.bucketScript(c)
			if strings.HasPrefix(c.Key, checkpoint.Prefix) {
				of.Delay += time.Duration(r.Int64N(int64(3 * time.Second)))
				of.Late = of.Late || c.Kind == objectstore.KindCreate && r.IntN(4) == 0
				if of.Late {
					time.AfterFunc(time.Duration(r.Int64N(int64(20*time.Second))), func() { x.bucket.Land(context.Background()) })
				}
			}
			return of
		})
	}
	time.Sleep(2 * f.lasts)
	for _, x := range xs {
		x.bucket.SetScript(x.bucketScript)
	}
}

// killedAtCheckpoint kills an agent in the middle of writing a checkpoint, or between that and its record.
func (f *simFault) killedAtCheckpoint(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	var caught atomic.Bool
	after := f.r.IntN(3)
	n := 0
	x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
		of := x.bucketScript(c)
		if c.Kind == objectstore.KindCreate && strings.HasPrefix(c.Key, checkpoint.Prefix) {
			if n++; n > after {
				caught.Store(true)
			}
		}
		return of
	})
	for wait := 0; wait < 600 && !caught.Load() && !x.isDead(); wait++ {
		time.Sleep(20 * time.Millisecond)
	}
	if !caught.Load() || x.isDead() {
		x.bucket.SetScript(x.bucketScript)
		return
	}
	f.begins(p, x.name)
	p.book.troubles(x)
	x.kill()
	p.book.extra[simKilledAtCheckpoint].Add(1)
	time.Sleep(f.lasts / 4)
	p.again(x.on)
}

// simLog is the whole log as the bucket has it: what every agent must know, wherever it began.
type simLog struct {
	slots map[topic.JournalID][]segment.SlotExtents
}

// wholeLog reads the slots of all journals that count, those that were deleted too.
func (p *simPool) wholeLog(s *control.State) (*simLog, error) {
	l := &simLog{slots: make(map[topic.JournalID][]segment.SlotExtents)}
	for j := range s.Journals() {
		slots, err := p.slots(j.ID)
		if err != nil {
			return nil, err
		}
		l.slots[j.ID] = slots
	}
	return l, nil
}

// made is what some slots make of the partitions of topics that are not deleted.
type simMade struct {
	rows   map[topic.Partition][]index.Entry
	starts map[topic.Partition]topic.Offset
	deltas map[topic.Partition][]sequence.Delta
}

// upTo gives what the slots below next make, in the order of offsets, and what is wrong with that.
func (l *simLog) upTo(s *control.State, next func(topic.JournalID) topic.Slot) (simMade, error) {
	m := simMade{make(map[topic.Partition][]index.Entry), make(map[topic.Partition]topic.Offset), make(map[topic.Partition][]sequence.Delta)}
	for id, slots := range l.slots {
		n := next(id)
		if n > topic.Slot(len(slots)) {
			return m, fmt.Errorf("journal %s has %d slots, not %d", id, len(slots), n)
		}
		for _, x := range slots[:n] {
			for _, e := range x.Extents {
				if !s.TopicDeleted(e.Partition.Topic) {
					m.rows[e.Partition] = append(m.rows[e.Partition], index.NewEntry(id, x.Slot, e))
				}
			}
			for _, at := range x.LogStarts {
				m.starts[at.Partition] = max(m.starts[at.Partition], at.Start)
			}
			for _, d := range x.Producers {
				if !s.TopicDeleted(d.Partition.Topic) {
					m.deltas[d.Partition] = append(m.deltas[d.Partition], d)
				}
			}
		}
	}
	for of, row := range m.rows {
		slices.SortFunc(row, func(a, b index.Entry) int { return cmp.Compare(a.Base, b.Base) })
		end := topic.Offset(0)
		for _, e := range row {
			if e.Base != end {
				return m, fmt.Errorf("%s has an extent at %d where %d is due", of, e.Base, end)
			}
			end = e.Next
		}
	}
	for _, deltas := range m.deltas {
		slices.SortStableFunc(deltas, func(a, b sequence.Delta) int { return cmp.Compare(a.Base, b.Base) })
	}
	return m, nil
}

// producers gives a partition's producer state at an offset.
func (m simMade) producers(of topic.Partition, at topic.Offset) []byte {
	var s sequence.State
	for _, d := range m.deltas[of] {
		if d.Next <= at {
			s.Apply(d)
		}
	}
	return s.AppendSnapshot(nil)
}

// checkpoints judges the checkpoints that are kept and verified: they are what the control log and the slots below their
// cut make, and nothing else.
func (p *simPool) checkpoints(now *control.State, log *simLog) {
	for _, c := range now.Checkpoints() {
		if !c.Verified {
			continue
		}
		if err := p.sameCheckpoint(c, log); err != nil {
			p.wrong("checkpoint at %d: %v", c.Control, err)
		}
	}
}

func (p *simPool) sameCheckpoint(c control.CheckpointInfo, log *simLog) error {
	ctx := context.Background()
	head, err := checkpoint.ReadHead(ctx, p.bucket, c.Control, c.ID)
	if err != nil {
		return err
	}
	s := control.New()
	for n := range c.Control + 1 {
		payload, err := slotlog.ReadControl(ctx, p.bucket, n)
		if err != nil {
			return err
		}
		records, err := control.Decode(payload)
		if err != nil {
			return err
		}
		if s, _, err = s.Apply(n, records); err != nil {
			return err
		}
	}
	if !bytes.Equal(head.State, s.AppendSnapshot(nil)) {
		return errors.New("its control state is not what the control log makes")
	}
	made, err := log.upTo(s, c.Next)
	if err != nil {
		return err
	}
	rows := maps.Clone(made.rows)
	err = head.Rows(ctx, p.bucket, func(r checkpoint.Row) error {
		if start, want := head.Start(r.Partition), made.starts[r.Partition]; start != want {
			return fmt.Errorf("%s begins at %d, the log says %d", r.Partition, start, want)
		}
		if want := sinceStart(rows[r.Partition], max(head.Start(r.Partition), s.Compaction(r.Partition).End)); !slices.Equal(r.Entries, want) {
			return fmt.Errorf("%s is %v, the log says %v", r.Partition, r.Entries, want)
		}
		want := made.producers(r.Partition, head.End(r.Partition))
		if len(made.deltas[r.Partition]) == 0 {
			want = nil
		}
		if !bytes.Equal(r.Producers, want) {
			return fmt.Errorf("%s has other producers than the log says", r.Partition)
		}
		delete(rows, r.Partition)
		return nil
	})
	maps.DeleteFunc(rows, func(of topic.Partition, row []index.Entry) bool { // of what is all compacted or gone there is nothing to say
		end := head.End(of)
		return end == row[len(row)-1].Next && end == max(head.Start(of), s.Compaction(of).End) && len(made.deltas[of]) == 0
	})
	if err == nil && len(rows) > 0 {
		err = fmt.Errorf("%d partitions are not in it", len(rows))
	}
	return err
}

// sameMemory judges what agents know: the rows of every partition, and the producers of those that they own, are what the
// whole log makes, wherever their memory began.
func (p *simPool) sameMemory(now *control.State, log *simLog) {
	made, err := log.upTo(now, func(j topic.JournalID) topic.Slot { return topic.Slot(len(log.slots[j])) })
	if err != nil {
		p.wrong("the log: %v", err)
		return
	}
	for _, x := range p.serving() {
		s := x.session()
		if s == nil {
			continue
		}
		for _, of := range slices.SortedFunc(maps.Keys(made.rows), func(a, b topic.Partition) int {
			return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
		}) {
			start, end := s.fetch.Bounds(of)
			if start > made.starts[of] || start < made.starts[of] && of.Topic != p.aging { // records go on to age
				p.wrong("%s knows that %s begins at %d, the log says %d", x.name, of, start, made.starts[of])
			}
			want := made.rows[of]
			// Compaction goes on: what this agent knows to be in runs is what counts here.
			want = sinceStart(want[:sortedUpTo(want, end)], max(start, s.cluster.State().Compaction(of).End))
			if have := s.fetch.Extents(of, 0, end); !slices.Equal(have, want) {
				p.wrong("%s knows %s as %v, the log says %v", x.name, of, have, want)
			}
			state, counted, ok := s.ingest.ProducerState(of)
			if want := made.producers(of, counted); ok && !bytes.Equal(state, want) {
				p.wrong("%s knows other producers of %s at %d than the log says", x.name, of, counted)
			}
		}
	}
}

// sinceStart leaves out the extents that lie before a log start, or before the end of what is compacted.
func sinceStart(row []index.Entry, start topic.Offset) []index.Entry {
	for len(row) > 0 && row[0].Next <= start {
		row = row[1:]
	}
	return row
}

func sortedUpTo(row []index.Entry, end topic.Offset) int {
	i, _ := slices.BinarySearchFunc(row, end, func(e index.Entry, end topic.Offset) int { return cmp.Compare(e.Base, end) })
	return i
}

// newcomer lets one more agent begin, most often from a checkpoint, and serve every record.
func (p *simPool) newcomer(ends [simPartitions]topic.Offset) {
	x := p.start(p.newDisk())
	if _, ok := p.converge(); !ok || x.session() == nil {
		p.wrong("%s does not come to serve", x.name)
		return
	}
	var wg sync.WaitGroup
	for i := range int32(simPartitions) {
		wg.Go(func() { p.readAll(x, i, ends[i]) })
	}
	wg.Wait()
}
