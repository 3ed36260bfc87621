package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// maxHeads is how many heads of checkpoints are remembered; far more are never there.
const maxHeads = 10_000

// checkpointCheck is what the log says that a checkpoint holds. It belongs to Run's goroutine.
type checkpointCheck struct {
	control.CheckpointInfo
	state *control.State // it stands at; nil if its head is not there
	parts map[topic.Partition]*checkpointPart
	lost  bool // a slot below its cut could not be read
}

// checkpointPart is what the slots below the cut make of one partition: extents in any order, producers by the batches
// that they rest on.
type checkpointPart struct {
	from    topic.Offset // below it the partition is in runs
	extents int          // behind from
	sum     uint64       // of their hashes
	end     topic.Offset
	start   topic.Offset
	deltas  []sequence.Delta
	kept    int
}

// seed is of the hashes of one process.
var seed = maphash.MakeSeed()

func hashEntry(e index.Entry) uint64 {
	var b [16 + 8*9]byte
	copy(b[:], e.Journal[:])
	for i, v := range []uint64{
		uint64(e.Slot), uint64(e.Epoch), uint64(e.Base), uint64(e.Next), uint64(e.Position), uint64(e.Length),
		uint64(e.RawLength), uint64(e.CRC32C), uint64(e.MaxTimestamp),
	} {
		binary.BigEndian.PutUint64(b[16+8*i:], v)
	}
	return maphash.Bytes(seed, b[:])
}

func (w *walk) listCheckpoint(i objectstore.Info) {
	if strings.HasPrefix(i.Key, checkpoint.PartPrefix) {
		if _, _, err := checkpoint.ParsePartKey(i.Key); err != nil {
			w.discard(i.Key, i.Size, "no checkpoint's name")
			return
		}
		w.listed.parts[i.Key] = i.Size
		return
	}
	name, err := checkpoint.ParseKey(i.Key)
	if err != nil || len(w.listed.heads) >= maxHeads {
		w.discard(i.Key, i.Size, "no checkpoint's name")
		return
	}
	w.listed.heads[name] = i.Size
	w.standing[name.Control] = nil // to be remembered when the control log comes there
}

// keepState remembers the control state after a number at which a checkpoint stands.
func (w *walk) keepState(n Number) {
	if _, ok := w.standing[n.N]; ok {
		w.standing[n.N] = n.After
	}
}

// beginCheckpoints says what is to be compared with what the journals hold: the checkpoints that are kept and verified.
func (w *walk) beginCheckpoints() {
	for _, c := range w.state.Checkpoints() {
		if c.Verified && w.whole {
			w.checks = append(w.checks, &checkpointCheck{CheckpointInfo: c, state: w.standing[c.Control], parts: make(map[topic.Partition]*checkpointPart)})
		}
	}
}

// takeForCheckpoints takes a slot into what checkpoints hold whose cut lies above it.
func (w *walk) takeForCheckpoints(j *journal, f *segment.Footer, slot topic.Slot) {
	for _, c := range w.checks {
		if slot >= c.Next(j.ID) {
			continue
		}
		if f == nil || c.state == nil {
			c.lost = true
			continue
		}
		for _, x := range f.Extents {
			if p := c.part(x.Partition); p != nil && x.Next > p.from {
				p.extents++
				p.sum += hashEntry(index.NewEntry(j.ID, slot, x))
				p.end = max(p.end, x.Next)
			}
		}
		for _, l := range f.LogStarts {
			if p := c.part(l.Partition); p != nil {
				p.start = max(p.start, l.Start)
			}
		}
		for _, d := range f.Producers {
			if p := c.part(d.Partition); p != nil {
				p.deltas = append(p.deltas, d)
				if len(p.deltas) >= 2*p.kept+keepDeltas {
					p.deltas = slices.Clone(recentDeltas(p.deltas))
					p.kept = len(p.deltas)
				}
			}
		}
	}
}

// part gives what is known of a partition, nil if its topic was deleted.
func (c *checkpointCheck) part(of topic.Partition) *checkpointPart {
	if c.state.TopicDeleted(of.Topic) {
		return nil
	}
	p := c.parts[of]
	if p == nil {
		compaction := c.state.Compaction(of)
		p = &checkpointPart{from: compaction.End, end: compaction.End, start: compaction.Start}
		c.parts[of] = p
	}
	return p
}

// recentDeltas gives those that producer state rests on, in the order of offsets. It works in place.
func recentDeltas(deltas []sequence.Delta) []sequence.Delta {
	slices.SortStableFunc(deltas, func(a, b sequence.Delta) int { return cmp.Compare(a.Base, b.Base) })
	return sequence.Recent(deltas)
}

// endCheckpoints compares the checkpoints with what the log says (G1), and tells of objects that none of them names.
func (w *walk) endCheckpoints(ctx context.Context) error {
	named := make(map[string]bool)
	var compared []*checkpoint.Head
	for _, c := range w.state.Checkpoints() {
		name := checkpoint.Name{Control: c.Control, ID: c.ID}
		named[name.Key()] = true
		head, err := checkpoint.ReadHead(ctx, w.store, c.Control, c.ID)
		if err != nil {
			if err := w.unreadable(ctx, c, name.Key(), err); err != nil {
				return err
			}
			continue
		}
		out := CheckpointReport{
			Control: c.Control, ID: c.ID.String(), Verified: c.Verified, Journals: len(head.Journals), Partitions: len(head.Partitions),
			Parts: len(head.Parts), Bytes: w.listed.heads[name], SlotsSince: w.slotsSince(c),
		}
		for _, p := range head.Parts {
			if err := w.checkPart(ctx, c, p, named); err != nil {
				return err
			}
			out.Bytes += 2 * p.Size
		}
		if c.Verified {
			for _, p := range head.Partitions {
				w.stands[p.Partition] = p
			}
		}
		w.report.Checkpoints = append(w.report.Checkpoints, out)
		compared = append(compared, head)
	}
	for _, head := range compared { // what an older one says of slots below TRIM only the newest ones can tell
		i := slices.IndexFunc(w.checks, func(k *checkpointCheck) bool { return k.ID == head.ID })
		if i < 0 {
			continue // not verified: nobody goes by it
		}
		if err := w.compareCheckpoint(ctx, w.checks[i], head); err != nil {
			return err
		}
	}
	for name, size := range w.listed.heads {
		w.listed.parts[name.Key()] = size
	}
	for _, key := range slices.Sorted(maps.Keys(w.listed.parts)) {
		switch {
		case named[key]:
			w.account(ClassCheckpoints, w.listed.parts[key])
		case w.pinnedKeys[key]:
			w.account(ClassPinned, w.listed.parts[key])
		default:
			w.discard(key, w.listed.parts[key], "of no checkpoint that is kept: an older one, or one made in vain")
		}
	}
	return nil
}

// checkPart reads a part and its twin, unless another checkpoint has them as well: one of both is enough to start from, and
// both are there.
func (w *walk) checkPart(ctx context.Context, c control.CheckpointInfo, p checkpoint.PartRef, named map[string]bool) error {
	if named[p.Key()] {
		return nil
	}
	named[p.Key()], named[p.Twin()] = true, true
	if !c.Verified {
		return nil // nobody goes by it
	}
	wrong := p.Check(ctx, w.store)
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		if err := w.unreadable(ctx, c, key, wrong[key]); err != nil {
			return err
		}
	}
	return nil
}

// unreadable judges an error that came with a checkpoint's object: a defect if it is about the object. A running agent may
// have gone on meanwhile and swept what was kept.
func (w *walk) unreadable(ctx context.Context, c control.CheckpointInfo, key string, err error) error {
	if !errors.Is(err, checkpoint.ErrMissing) && !errors.Is(err, checkpoint.ErrCorrupt) && !errors.Is(err, checkpoint.ErrVersion) {
		return err
	}
	if _, cerr := w.catchUp(ctx); cerr != nil {
		return cerr
	}
	kept := slices.ContainsFunc(w.now.Checkpoints(), func(k control.CheckpointInfo) bool { return k.ID == c.ID })
	switch {
	case !kept:
		w.note("the checkpoint at %d is not kept any more", c.Control)
	case !c.Verified:
		w.note("the checkpoint at %d, which is not verified: %v", c.Control, err)
	default:
		w.find(key, "%v", err)
	}
	return nil
}

// slotsSince is how many slots that count lie above a checkpoint.
func (w *walk) slotsSince(c control.CheckpointInfo) topic.Slot {
	n := topic.Slot(0)
	for id, j := range w.journals {
		if next := c.Next(id); j.info.End > next {
			n += j.info.End - next
		}
	}
	return n
}

func (w *walk) compareCheckpoint(ctx context.Context, c *checkpointCheck, head *checkpoint.Head) error {
	key := head.Name().Key()
	if c.state == nil {
		w.note("the checkpoint at %d was not listed", c.Control)
		return nil
	}
	if !bytes.Equal(head.State, c.state.AppendSnapshot(nil)) {
		w.find(key, "control state is not what the control log makes up to %d (G1)", c.Control)
	}
	n := 0
	for id, next := range c.Journals() {
		n++
		if have := head.Next(id); have != next {
			w.find(key, "holds journal %s up to slot %d, the control log says %d", id, have, next)
		}
		if j := w.journals[id]; j != nil && next > j.info.End {
			w.find(key, "holds slot %d of journal %s, which does not count: it is %s at slot %d (I6)", next-1, id, j.info.State, j.info.End)
		}
	}
	if n != len(head.Journals) {
		w.find(key, "holds %d journals, the control log says %d", len(head.Journals), n)
	}
	if c.lost {
		return nil // told already, and what the lost slots held is not known
	}
	for _, p := range head.Partitions {
		of := c.part(p.Partition)
		if of == nil {
			w.find(key, "holds %s, which is deleted", p.Partition)
			continue
		}
		same := p.End == of.end && p.Start == of.start
		switch { // slots that are not read any more may have said more, of what is gone
		case same:
		case w.trimmedOf(p.Partition):
			same = p.Start >= of.start && (p.End == of.end || p.End > of.end && p.End <= w.floor(p.Partition, p.Start))
		case p.End == of.end && w.forgets(p.Partition) && w.trimmedBelow(c): // a log start may be all that a forgotten owner wrote
			same = p.Start >= of.start && p.Start <= p.End
		}
		if !same {
			w.find(key, "%s stands at [%d,%d), its slots say [%d,%d)", p.Partition, p.Start, p.End, of.start, of.end)
		}
		if from := max(p.Start, of.from); p.From != from {
			w.find(key, "rows of %s begin at %d, its runs and log start say %d", p.Partition, p.From, from)
		}
	}
	seen := make(map[topic.Partition]bool)
	err := head.Rows(ctx, w.store, func(r checkpoint.Row) error {
		seen[r.Partition] = true
		w.compareRow(key, c, r, head.Start(r.Partition))
		return nil
	})
	if err != nil { // what is wrong with its objects was found
		return w.unreadable(ctx, c.CheckpointInfo, key, err)
	}
	for of, p := range c.parts {
		if !seen[of] && p.end > max(p.start, p.from, head.Start(of)) {
			w.find(key, "lacks %s, which ends at %d", of, p.end)
		}
	}
	return nil
}

// floor gives an offset that all lies below which slots below TRIM held: it is in runs, or below the log start.
func (w *walk) floor(p topic.Partition, start topic.Offset) topic.Offset {
	if _, exists := w.now.TopicByID(p.Topic); !exists {
		return math.MaxInt64
	}
	if s := w.parts[p]; s != nil {
		start = max(start, s.start)
	}
	c := w.state.Compaction(p)
	return max(start, c.End, c.Start, w.stands[p].Start)
}

// trimmedOf says whether slots that may have held something of a partition are trimmed.
func (w *walk) trimmedOf(p topic.Partition) bool {
	if s, _, _ := w.look(p, 0); s != nil {
		return w.trims(s)
	}
	for j := range w.state.Journals() { // of a topic that is deleted, which was whose is not known any more
		if j.Trim > 0 {
			return true
		}
	}
	return false
}

// forgets says whether a partition had epochs without records, whose journals are not known any more.
func (w *walk) forgets(p topic.Partition) bool {
	known := w.state.Assignments(p)
	return len(known) > 0 && len(known) <= int(known[len(known)-1].Epoch)
}

// trimmedBelow says whether slots that a checkpoint holds are trimmed.
func (w *walk) trimmedBelow(c *checkpointCheck) bool {
	for id := range c.Journals() {
		if j, ok := w.state.Journal(id); ok && j.Trim > 0 {
			return true
		}
	}
	return false
}

// compareRow judges a row of a partition with that log start, of which a slot that is trimmed now may have told.
func (w *walk) compareRow(key string, c *checkpointCheck, r checkpoint.Row, start topic.Offset) {
	trimmed := w.trimmedOf(r.Partition)
	p := c.part(r.Partition)
	if p == nil || p.end == 0 && len(p.deltas) == 0 && !trimmed {
		w.find(key, "holds %s, of which no slot below its cut tells", r.Partition)
		return
	}
	sum, n := uint64(0), 0
	for _, e := range r.Entries {
		j, ok := w.state.Journal(e.Journal)
		if ok && e.Slot < j.Trim { // it is in runs by now, or gone
			if s := w.parts[r.Partition]; s != nil {
				s.trimmed = append(s.trimmed, trace{e.Base, e.Next, key})
			}
			continue
		}
		sum += hashEntry(e)
		n++
	}
	if max(start, p.start) <= p.from && (sum != p.sum || n != p.extents) { // else what lies before the log start may be left out
		w.find(key, "%s has %d extents that are not the %d of its slots (G1)", r.Partition, n, p.extents)
	}
	w.compareProducers(key, p, r, trimmed)
}

// compareProducers compares a row's producers with what the slots say of them (I8). Of a partition of which slots are
// trimmed only those can be compared whose newest batch lies behind all that was trimmed.
func (w *walk) compareProducers(key string, p *checkpointPart, r checkpoint.Row, trimmed bool) {
	var s sequence.State
	newest := make(map[int64]topic.Offset)
	for _, d := range recentDeltas(p.deltas) {
		s.Apply(d)
		newest[d.ProducerID] = d.Base
	}
	if !trimmed {
		var want []byte
		if s.Len() > 0 {
			want = s.AppendSnapshot(nil)
		}
		if !bytes.Equal(r.Producers, want) {
			w.find(key, "%s has other producers than its slots say (I8)", r.Partition)
		}
		return
	}
	have, err := sequence.Restore(r.Producers)
	if err != nil && len(r.Producers) > 0 {
		w.find(key, "producers of %s: %v", r.Partition, err)
		return
	}
	if s := w.parts[r.Partition]; s != nil {
		s.known = have.Len()
	}
	said := make(map[int64]sequence.Producer)
	for _, one := range have.Producers() {
		said[one.ID] = one
	}
	for _, want := range s.Producers() {
		if newest[want.ID] < w.floor(r.Partition, p.start) {
			continue
		}
		one := said[want.ID]
		if want.LastSequence == sequence.NoSequence {
			one.LastSequence = want.LastSequence // one that lies further back may be in a slot below TRIM
		}
		if one != want {
			w.find(key, "%s has producer %+v, its slots say %+v (I8)", r.Partition, one, want)
		}
	}
}
