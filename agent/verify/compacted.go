package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// compactionWalk is what the walk knows of compaction beside the control state.
type compactionWalk struct {
	swapped  map[topic.Object]struct{}      // objects that a manifest ever swapped in
	byKey    map[topic.ID]struct{}          // topics that were ever to be compacted by key
	allByKey bool                           // so was the whole cluster
	replaced map[topic.Partition][]replaced // what slots still hold that runs hold as well, by offset once all are read
}

// replaced is an extent that slots still hold and a run holds as well.
type replaced struct {
	base, next topic.Offset
	sum        uint64 // of its batches' hashes
	key        string // of its slot
}

// extentAt tells apart the extents of one slot.
type extentAt struct {
	partition topic.Partition
	base      topic.Offset
}

// hashBatch tells what of a batch must never change (I5).
func hashBatch(i recordbatch.Info) uint64 {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], uint64(i.BaseOffset))
	binary.BigEndian.PutUint32(b[8:], i.CRC)
	binary.BigEndian.PutUint32(b[12:], uint32(i.Size))
	binary.BigEndian.PutUint32(b[16:], uint32(i.LeaderEpoch))
	return maphash.Bytes(seed, b[:])
}

// takeReplaced remembers what a slot holds that a run has taken the place of.
func (w *walk) takeReplaced(x segment.Extent, key string, r slotRead) {
	sum, read := r.sums[extentAt{x.Partition, x.Base}]
	if s := w.parts[x.Partition]; read && s != nil && x.Next <= s.compacted {
		w.compaction.replaced[x.Partition] = append(w.compaction.replaced[x.Partition], replaced{x.Base, x.Next, sum, key})
	}
}

// compacted is a compacted object that has current runs, and those, by partition.
type compacted struct {
	object topic.Object
	size   int64
	runs   []segment.PartitionRun
}

// compactedRead is what reading a compacted object brought.
type compactedRead struct {
	missing  bool
	problems []string
	extents  []segment.Extent // of current runs, without places
	batches  int64
	holes    int64
	same     int
}

func (r *compactedRead) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// walkCompacted reads all compacted objects that have current runs, and accounts for those that have none. The slots were
// read before: what they hold as well must be the same.
func (w *walk) walkCompacted(ctx context.Context) error {
	runs := make(map[topic.Object][]segment.PartitionRun)
	for p, c := range w.state.Compactions() {
		slices.SortFunc(w.compaction.replaced[p], func(a, b replaced) int { return cmp.Compare(a.base, b.base) })
		for _, r := range c.Runs {
			runs[r.Object] = append(runs[r.Object], segment.PartitionRun{Partition: p, Run: r})
		}
	}
	var all []compacted
	for o, info := range w.state.Objects() {
		all = append(all, compacted{o, info.Size, runs[o]})
	}
	err := ahead(ctx, 0, topic.Slot(len(all)), w.opt.Reads, func(ctx context.Context, i topic.Slot) (compactedRead, error) {
		return w.readCompacted(ctx, all[i])
	}, func(i topic.Slot, r compactedRead) (bool, error) {
		return true, w.takeCompacted(ctx, all[i], r)
	})
	if err != nil {
		return err
	}
	for _, o := range slices.SortedFunc(maps.Keys(w.listed.compacted), topic.Object.Compare) {
		w.accountCompacted(o, w.listed.compacted[o])
	}
	return w.checkKept(ctx)
}

func (w *walk) accountCompacted(o topic.Object, size int64) {
	_, current := w.state.Object(o)
	_, was := w.compaction.swapped[o]
	switch {
	case current:
		w.account(ClassCompacted, size)
	case w.pinnedObject(o):
		w.account(ClassPinned, size)
	case was:
		w.account(ClassGrace, size)
	case o.Planned < w.state.Swept():
		w.discard(o.Key(), size, "compacted in vain: no manifest names it, and none can any more")
	default:
		w.discard(o.Key(), size, "no manifest names it: in the making, or compacted in vain")
	}
}

// readCompacted reads one compacted object and checks it by itself and against what the control log says of its runs.
func (w *walk) readCompacted(ctx context.Context, c compacted) (compactedRead, error) {
	weight := min(max(c.size, 1), w.opt.MemoryBytes)
	whole := !w.opt.Fast && c.size <= w.opt.MemoryBytes
	if !whole {
		weight = min(footerTail, w.opt.MemoryBytes)
	}
	if err := w.memory.Acquire(ctx, weight); err != nil {
		return compactedRead{}, err
	}
	defer w.memory.Release(weight)
	if !whole {
		r, err := readObjectTail(ctx, w.store, c)
		if err == nil && !w.opt.Fast {
			r.problem("object of %d bytes is larger than the memory there is to read it, of which %d were given", c.size, w.opt.MemoryBytes)
		}
		return r, err
	}
	b, err := w.store.Get(ctx, c.object.Key())
	if errors.Is(err, objectstore.ErrNotFound) {
		return compactedRead{missing: true}, nil
	}
	if err != nil {
		return compactedRead{}, fmt.Errorf("get %s: %w", c.object.Key(), err)
	}
	return w.checkCompacted(b, c), nil
}

// readObjectTail reads a compacted object's footer only.
func readObjectTail(ctx context.Context, store objectstore.Store, c compacted) (compactedRead, error) {
	var r compactedRead
	for want := int64(footerTail); ; {
		tail, err := store.GetRange(ctx, c.object.Key(), -want, 0)
		if errors.Is(err, objectstore.ErrNotFound) {
			return compactedRead{missing: true}, nil
		}
		if err != nil {
			return r, fmt.Errorf("get the end of %s: %w", c.object.Key(), err)
		}
		f, err := segment.ReadObjectFooter(tail, c.size)
		var short *segment.ShortError
		if errors.As(err, &short) && short.Need > want {
			want = short.Need
			continue
		}
		if err != nil {
			r.problem("%v", err)
			return r, nil
		}
		r.compareFooter(f, c)
		return r, nil
	}
}

// compareFooter checks that the footer says of the current runs what the control log says.
func (r *compactedRead) compareFooter(f segment.ObjectFooter, c compacted) {
	if err := f.At(c.object); err != nil {
		r.problem("%v", err)
	}
	for _, want := range c.runs {
		i, ok := slices.BinarySearchFunc(f.Runs, want.Partition, func(a segment.PartitionRun, p topic.Partition) int {
			return comparePartitions(a.Partition, p)
		})
		if !ok {
			r.problem("no run of %s, the control log says %s", want.Partition, want.Run)
		} else if have := f.Runs[i].Run; have != want.Run {
			r.problem("run of %s is %+v, the control log says %+v", want.Partition, have, want.Run)
		}
	}
}

// checkCompacted checks a whole object: every block and batch, and that runs hold what slots do that are still there.
func (w *walk) checkCompacted(b []byte, c compacted) compactedRead {
	var r compactedRead
	if int64(len(b)) != c.size {
		r.problem("%d bytes, the control log says %d", len(b), c.size)
	}
	current := make(map[topic.Partition]*runRead, len(c.runs))
	for _, run := range c.runs {
		current[run.Partition] = w.newRunRead(run)
	}
	f, err := segment.VerifyObject(b, func(x segment.Extent, i recordbatch.Info) {
		if run := current[x.Partition]; run != nil {
			run.take(&r, x, i)
		}
	})
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r.problem("%v", e)
		}
	} else if err != nil { // there is no footer
		r.problem("%v", err)
		return r
	}
	r.compareFooter(f, c)
	if len(r.problems) == 0 { // else offsets are missing that a problem tells of
		for _, run := range c.runs {
			current[run.Partition].end(&r)
		}
	}
	return r
}

// runRead is one run while its object is read.
type runRead struct {
	segment.PartitionRun
	byKey bool // records may be missing below where the run was cleaned to
	at    topic.Offset
	last  topic.Offset // where the last extent began, -1 before the first
	holes int64
	dirty int64      // of these, where nothing may be missing but what was erased
	other uint64     // extents in slots that it holds otherwise
	slots []replaced // extents in slots, from the one that is due
	sum   uint64     // of its batches so far
}

func (w *walk) newRunRead(run segment.PartitionRun) *runRead {
	_, byKey := w.compaction.byKey[run.Partition.Topic]
	r := &runRead{PartitionRun: run, byKey: byKey || w.compaction.allByKey, at: run.Run.Base, last: -1}
	for _, x := range w.compaction.replaced[run.Partition] {
		if x.base >= run.Run.Base && x.next <= run.Run.Next {
			r.slots = append(r.slots, x)
		}
	}
	return r
}

// take takes a batch of the run, in order.
func (r *runRead) take(to *compactedRead, x segment.Extent, i recordbatch.Info) {
	to.batches++
	if x.Base != r.last { // a hole between epochs is in one extent, whichever of them it was of
		to.extents = append(to.extents, segment.Extent{Partition: x.Partition, Epoch: x.Epoch, Base: i.BaseOffset})
		r.last = x.Base
	}
	to.extents[len(to.extents)-1].Next = i.Next()
	r.hole(i.BaseOffset)
	lost := int64(i.LastOffsetDelta) + 1 - int64(i.Count)
	if r.holes += lost; i.BaseOffset >= r.Run.Cleaned {
		r.dirty += lost
	}
	r.at = i.Next()
	for len(r.slots) > 0 && i.BaseOffset >= r.slots[0].next {
		r.compare(to)
	}
	if len(r.slots) > 0 && i.BaseOffset >= r.slots[0].base {
		r.sum += hashBatch(i)
	}
}

// hole counts records that are missing up to an offset. Key compaction takes none from where the run was cleaned to on: what
// is missing there was erased.
func (r *runRead) hole(to topic.Offset) {
	r.holes += int64(to - r.at)
	r.dirty += int64(max(0, to-max(r.at, r.Run.Cleaned)))
}

// compare compares the extent of a slot that is due with what the run has in its place (I5).
func (r *runRead) compare(to *compactedRead) {
	x := r.slots[0]
	if same := r.sum == x.sum; same {
		to.same++
	} else if r.other++; !r.byKey && r.other > r.Run.Erased { // of each that changed a record was erased at least
		to.problem("%s [%d,%d) is not what %s holds (I5)", r.Partition, x.base, x.next, x.key)
	}
	r.slots, r.sum = r.slots[1:], 0
}

func (r *runRead) end(to *compactedRead) {
	for len(r.slots) > 0 {
		r.compare(to)
	}
	r.hole(r.Run.Next)
	switch {
	case r.holes > int64(r.Run.Erased) && !r.byKey:
		to.problem("run %s of %s lacks %d records, of which %d were erased, and its topic never was to be compacted by key", r.Run, r.Partition, r.holes, r.Run.Erased)
	case r.dirty > int64(r.Run.Erased):
		to.problem("run %s of %s lacks %d records where it was not cleaned, of which %d were erased", r.Run, r.Partition, r.dirty, r.Run.Erased)
	}
	to.holes += r.holes
}

// takeCompacted takes an object that was read.
func (w *walk) takeCompacted(ctx context.Context, c compacted, r compactedRead) error {
	key := c.object.Key()
	if r.missing {
		if _, err := w.catchUp(ctx); err != nil {
			return err
		}
		if _, current := w.now.Object(c.object); !current {
			w.note("%s was replaced while the bucket was read", key)
			return nil
		}
		w.find(key, "object missing, which %d runs are in", len(c.runs))
		return nil
	}
	for _, p := range r.problems {
		w.find(key, "%s", p)
	}
	out := &w.report.Compacted
	out.Objects++
	out.Bytes += c.size
	out.Runs += len(c.runs)
	out.Batches += r.batches
	out.Holes += r.holes
	out.Same += r.same
	for _, run := range c.runs {
		out.Live += run.Run.Size()
		out.Records += int64(run.Run.Next - run.Run.Base)
		w.report.Totals.Stored += int64(run.Run.Length)
		w.report.Totals.Raw += int64(run.Run.RawLength)
	}
	for _, x := range r.extents { // I3 holds in runs, too
		s, a, what, err := w.where(ctx, x.Partition, x.Epoch)
		switch {
		case err != nil:
			return err
		case what == "" && s == nil: // the topic was deleted meanwhile
		case what != "":
			w.find(key, "extent [%d,%d) of %s at epoch %d: %s", x.Base, x.Next, x.Partition, x.Epoch, what)
		case x.Base < a.Base || a.End != control.EndOpen && x.Next > a.End:
			w.find(key, "extent [%d,%d) of %s: epoch %d is [%d,%d)", x.Base, x.Next, x.Partition, x.Epoch, a.Base, a.End)
		}
	}
	return nil
}

// checkKept checks that nothing is gone that a checkpoint which is kept for a start needs (I9): slots from its TRIM on,
// objects of its runs. Those are the two newest verified ones; one that is kept only since the newest era was recovered from it
// is not needed any more once that era is open.
func (w *walk) checkKept(ctx context.Context) error {
	verified := 0
	for _, c := range slices.Backward(w.state.Checkpoints()) {
		if !c.Verified {
			continue
		}
		if verified++; verified > 2 {
			break
		}
		state := w.standing[c.Control]
		if state == nil || !w.whole {
			continue
		}
		gone := func(key, what string) error {
			_, err := w.store.Head(ctx, key) // it may be younger than the listing
			if !errors.Is(err, objectstore.ErrNotFound) {
				return err
			}
			if _, err := w.catchUp(ctx); err != nil {
				return err
			}
			if slices.ContainsFunc(w.now.Checkpoints(), func(k control.CheckpointInfo) bool { return k.ID == c.ID }) {
				w.find(key, "%s missing, which the checkpoint at %d still needs (I9)", what, c.Control)
			}
			return nil
		}
		for j := range state.Journals() {
			now, ok := w.state.Journal(j.ID)
			l := w.listed.journals[j.ID]
			for s := j.Trim; ok && s < now.Trim; s++ {
				if _, listed := l.size(s); !listed {
					if err := gone(slotlog.JournalKey(j.ID, s), "slot"); err != nil {
						return err
					}
				}
			}
		}
		for o := range state.Objects() {
			_, listed := w.listed.compacted[o]
			if _, current := w.state.Object(o); !listed && !current { // else it was read
				if err := gone(o.Key(), "object"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func comparePartitions(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}
