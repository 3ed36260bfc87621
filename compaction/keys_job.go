package compaction

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// KeysConfig says how topics are cleaned by key. The zero value is the default.
type KeysConfig struct {
	// Values gives a topic's settings; nil: its own, and those of the cluster that the control log has.
	Values func(*control.State, *control.Topic) topic.Values
	// Now is the time that says which tombstones are old; nil: the machine's. An error: no record goes by key now.
	Now      func(context.Context) (time.Time, error)
	MapBytes int64 // of the map from keys to offsets; half of what a job may take out of slots
	MaxRaw   int64 // records of one batch, unpacked; of a larger one all are kept. A quarter of the same, 16 MiB at least
}

func (c KeysConfig) withDefaults(job int64) KeysConfig {
	if c.Values == nil {
		c.Values = func(s *control.State, t *control.Topic) topic.Values {
			config, _ := s.Config()
			return topic.Values{Topic: t.Config, Cluster: topic.Cluster{config}}
		}
	}
	if c.Now == nil {
		c.Now = func(context.Context) (time.Time, error) { return time.Now(), nil }
	}
	orElse(&c.MapBytes, job/2)
	orElse(&c.MaxRaw, max(job/4, 16<<20))
	return c
}

// keyReads is which part of what a job may take out of slots is read ahead.
const keyReads = 8

// mostRead is of how many objects something stays in memory until it is asked for again.
const mostRead = 32

// errNotCleaned says that a round came to nothing, which it never does: a plan takes only what can be cleaned.
var errNotCleaned = errors.New("nothing could be cleaned")

// cleanedTo gives the cleaned point that the runs of a partition tell: what key compaction was at comes first, and the next
// round goes on where it ends. It is in control state, so that it outlives agents and all of Redis.
func cleanedTo(runs []topic.Run) topic.Offset {
	at := topic.Offset(0)
	for _, r := range runs {
		if r.Cleaned > 0 {
			at = r.Cleaned
		}
		if r.Cleaned != r.Next {
			break
		}
	}
	return at
}

// keyJob cleans partitions by key: several that fit into one object, or one, in as many objects as it takes.
type keyJob struct {
	parts []keyPart // by topic id and index
	bytes int64     // stored, of all runs that are read to the end once; what is dirty is read twice
}

type keyPart struct {
	log             KeyLog
	start           topic.Offset
	runs            []topic.Run // from the first one up to log.Upto
	deleteRetention int64       // ms
}

func (p keyPart) size() (n int64) {
	for _, r := range p.runs {
		n += r.Size()
	}
	return n
}

// planKeys gives what is to be cleaned next of a group's partitions: the dirtiest one, and others that fit into one object
// with it. Only runs are cleaned, which lie below a verified checkpoint (G2), so that all their records count. ready says
// which partitions not to pass over.
func planKeys(s *control.State, all []held, values func(*control.State, *control.Topic) topic.Values, ready func(topic.Partition) bool, most, now int64) (keyJob, bool) {
	var logs []KeyLog
	parts := make(map[topic.Partition]keyPart)
	var of *control.Topic
	var v topic.Values
	for _, h := range all {
		if of == nil || of.ID != h.partition.Topic {
			t, ok := s.TopicByID(h.partition.Topic)
			if !ok {
				continue
			}
			of, v = t, values(s, t)
		}
		if !v.Compacts() || !ready(h.partition) || h.start >= h.runs[0].Next {
			continue // runs that lie wholly below the log start go first
		}
		pieces := make([]KeyPiece, len(h.runs))
		for i, r := range h.runs {
			pieces[i] = KeyPiece{Next: r.Next, Bytes: int64(r.RawLength), FirstTimestamp: r.MaxTimestamp, MaxTimestamp: r.MaxTimestamp}
		}
		limits := KeyLimits{MinDirtyRatio: v.MinCleanableDirtyRatio(), MinLag: v.MinCompactionLagMs(), MaxLag: v.MaxCompactionLagMs()}
		log := MeasureKeys(h.partition, pieces, max(h.start, cleanedTo(h.runs)), h.runs[len(h.runs)-1].Next, limits, now)
		n := 0
		for n < len(h.runs) && h.runs[n].Next <= log.Upto {
			n++
		}
		logs = append(logs, log)
		parts[h.partition] = keyPart{log, h.start, h.runs[:n], v.DeleteRetentionMs()}
	}
	var job keyJob
	for _, log := range PlanKeys(logs, now) {
		p := parts[log.Partition]
		size := p.size()
		if len(job.parts) > 0 && (job.bytes+size > most || len(job.parts) == mostParts) {
			continue
		}
		job.parts, job.bytes = append(job.parts, p), job.bytes+size
		if job.bytes > most {
			break // it takes several objects
		}
	}
	slices.SortFunc(job.parts, func(a, b keyPart) int { return comparePartitions(a.log.Partition, b.log.Partition) })
	return job, len(job.parts) > 0
}

// dueKeys gives what of a group is to be cleaned next, and the time that says so, if the clocks agree on one (G3).
func (c *Compactor) dueKeys(ctx context.Context, s *control.State, all []held) (job keyJob, now int64, ok bool) {
	ready := func(p topic.Partition) bool { return c.resting[p] == nil || c.resting[p].ready() }
	plan := func(now int64) (keyJob, bool) {
		return planKeys(s, all, c.cfg.Keys.Values, ready, c.cfg.Merge.ObjectBytes, now)
	}
	if _, ok := plan(time.Now().UnixMilli()); !ok {
		return job, 0, false // clocks are asked only where they count
	}
	at, err := c.cfg.Keys.Now(ctx)
	if err != nil {
		if !c.timeless && ctx.Err() == nil {
			c.timeless = true
			slog.WarnContext(ctx, "nothing is cleaned by key until clocks agree", "error", err)
		}
		return job, 0, false
	}
	c.timeless = false
	now = at.UnixMilli()
	job, ok = plan(now)
	return job, now, ok
}

// mapBytes is what the map of a job takes: it needs no room for more keys than there are offsets.
func (j keyJob) mapBytes(most int64) int {
	offsets := int64(0)
	for _, p := range j.parts {
		offsets = max(offsets, int64(p.log.Upto-p.log.Cleaned))
	}
	if offsets >= most/keyEntrySize {
		return int(most)
	}
	return int(min(most, (offsets+2)*keyEntrySize*10/9+keyEntrySize))
}

// keyWork is a job that is being done, slice by slice: other work of the same compactor comes in between. A slice reads as
// much as an object of level 2 is made of; its map and readers stay in memory until the job is done.
type keyWork struct {
	owner   topic.JournalID
	job     keyJob
	now     int64
	lasts   map[topic.Partition]producersAt
	objects map[topic.Object]*objectReader
	keys    *OffsetMap
	rounds  []*keyRound // of job.parts
	stretch int         // the next one to be written
}

// largeMap is a map whose memory counts, against what a collection costs.
const largeMap = 16 << 20

// beginKeys takes up a job.
func (c *Compactor) beginKeys(ctx context.Context, owner topic.JournalID, job keyJob, now int64) (*keyWork, error) {
	lasts, err := c.lastsOf(ctx, job)
	if err != nil {
		return nil, err
	}
	room := job.mapBytes(c.cfg.Keys.MapBytes)
	if room >= largeMap {
		runtime.GC() // the map of the job before may be as large as the one that comes
	}
	return &keyWork{
		owner: owner, job: job, now: now, lasts: lasts, objects: c.readersOf(job.runs(), c.cfg.Merge.InputBytes/keyReads),
		keys: NewOffsetMap(room), rounds: make([]*keyRound, len(job.parts)),
	}, nil
}

// cleans says whether a partition is being cleaned: its runs stay as they are until that is over.
func (w *keyWork) cleans(p topic.Partition) bool {
	return w != nil && slices.ContainsFunc(w.job.parts, func(k keyPart) bool { return k.log.Partition == p })
}

// round gives the round of a partition of the job.
func (c *Compactor) round(ctx context.Context, w *keyWork, i int) *keyRound {
	if w.rounds[i] == nil {
		p := w.job.parts[i]
		w.rounds[i] = c.newRound(p, w.lasts[p.log.Partition], w.objects, w.keys, w.now)
	}
	w.rounds[i].ctx = ctx
	return w.rounds[i]
}

// cleanKeys does a slice of a job and says whether another follows. A partition that fits into one object with others is
// swapped with them. One that does not is swapped stretch by stretch from the front on, each into an object of its own.
// Whatever stops that in between, what was swapped is right: a record that is gone has a newer one further on, and a
// tombstone that is gone has no record further in front. Nothing is written for a slice that only fills the map: m is nil.
func (c *Compactor) cleanKeys(ctx context.Context, w *keyWork) (m *control.Manifest, in int64, more bool, err error) {
	s := c.log.State()
	if err := w.current(s); err != nil {
		c.merged.lost.Add(1)
		return nil, 0, false, err
	}
	alone := w.job.parts[0].log.Partition
	if len(w.job.parts) == 1 {
		if r := c.round(ctx, w, 0); !r.filled {
			if err := r.fillSome(c.cfg.Merge.ObjectBytes); err != nil {
				c.rest(alone, err)
				return nil, 0, false, fmt.Errorf("clean %s by key: %w", alone, err)
			}
			if !r.filled {
				return nil, 0, true, nil
			}
		}
	}
	made, more, err := c.writeStretch(ctx, s, w)
	if err == nil {
		err = c.swap(ctx, made)
	}
	if err != nil {
		return nil, 0, false, err
	}
	for _, r := range w.rounds {
		for _, run := range r.stretches[w.stretch] {
			in += run.Size()
		}
	}
	c.merged.read.Add(in)
	w.stretch++
	if more {
		return &made, in, true, nil
	}
	for i, p := range w.job.parts {
		w.rounds[i].tell(ctx)
		c.count(w.rounds[i].stats)
		c.rest(p.log.Partition, nil)
	}
	return &made, in, false, nil
}

// current asks that what was not cleaned yet be as it was when the job was planned.
func (w *keyWork) current(s *control.State) error {
	for i, p := range w.job.parts {
		runs := p.runs
		if r := w.rounds[i]; r != nil && r.filled {
			runs = slices.Concat(r.stretches[w.stretch:]...)
		}
		if !standing(s, p.log.Partition, runs) {
			return fmt.Errorf("%w: runs of %s are not what they were", ErrLost, p.log.Partition)
		}
	}
	return nil
}

// writeStretch makes the next object, in which all partitions of the job have their next stretch.
func (c *Compactor) writeStretch(ctx context.Context, s *control.State, w *keyWork) (m control.Manifest, more bool, err error) {
	var parts []control.ManifestPart
	m, err = c.output(ctx, s, func(out *segment.ObjectWriter) error {
		for i, p := range w.job.parts {
			part, left, err := func() (part control.ManifestPart, left bool, err error) {
				r := c.round(ctx, w, i)
				for !r.filled { // the map is one for all
					if err := r.fillSome(c.cfg.Merge.ObjectBytes); err != nil {
						return part, false, err
					}
				}
				return r.write(out, w.stretch)
			}()
			if err != nil {
				c.rest(p.log.Partition, err)
				return fmt.Errorf("clean %s by key: %w", p.log.Partition, err)
			}
			parts, more = append(parts, part), more || left
		}
		return nil
	})
	m.Parts = parts
	return m, more, c.check(ctx, m, err)
}

func (j keyJob) runs() (all []topic.Run) {
	for _, p := range j.parts {
		all = append(all, p.runs...)
	}
	return all
}

// rest notes how the cleaning of a partition went: one that fails does not keep the others of its group waiting.
func (c *Compactor) rest(p topic.Partition, err error) {
	if err == nil {
		delete(c.resting, p)
		return
	}
	if c.resting[p] == nil {
		c.resting[p] = new(pace)
	}
	c.resting[p].result(err)
}

// lastsOf reads what the newest verified checkpoint knows of the producers of a job's partitions (I8). No run may reach beyond
// it.
func (c *Compactor) lastsOf(ctx context.Context, job keyJob) (map[topic.Partition]producersAt, error) {
	info, ok := c.log.State().NewestCheckpoint()
	if !ok {
		return nil, fmt.Errorf("%w: there is no checkpoint", errNotCleaned)
	}
	ends := make(map[topic.Partition]topic.Offset, len(job.parts))
	for _, p := range job.parts {
		ends[p.log.Partition] = p.log.Upto
	}
	return c.lastsAt(ctx, info, ends)
}

// lastsAt reads what a checkpoint knows of the producers of partitions, which it must hold up to the offsets given.
func (c *Compactor) lastsAt(ctx context.Context, info control.CheckpointInfo, ends map[topic.Partition]topic.Offset) (map[topic.Partition]producersAt, error) {
	h, err := c.head(ctx, info)
	if err != nil {
		return nil, err
	}
	out := make(map[topic.Partition]producersAt, len(ends))
	for p, to := range ends {
		end := h.End(p)
		if end < to {
			return nil, fmt.Errorf("%s is in runs up to %d, in checkpoint at %d up to %d: %w", p, to, h.Control, end, checkpoint.ErrCorrupt)
		}
		out[p] = producersAt{end: end}
	}
	return out, h.ProducerStates(ctx, c.store, func(p topic.Partition, b []byte) error {
		at, ok := out[p]
		if !ok {
			return nil
		}
		at.state, err = sequence.Restore(b)
		out[p] = at
		return err
	})
}

// producersAt is what a checkpoint knows of a partition.
type producersAt struct {
	end   topic.Offset
	state sequence.State
}

func (a producersAt) last(id int64) (LastOfProducer, bool) {
	at, epoch, data, ok := a.state.Last(id)
	return LastOfProducer{Data: at, NoData: !data, Epoch: epoch}, ok
}

// keyRound cleans one partition.
type keyRound struct {
	cleaner
	ctx       context.Context // of the slice that is being done
	part      keyPart
	objects   map[topic.Object]*objectReader
	reached   int           // runs that the map was filled from
	filled    bool          // from all it is to be filled from
	stretches [][]topic.Run // once it is filled
	limit     int64         // stored bytes of a stretch
}

func (c *Compactor) newRound(p keyPart, last producersAt, objects map[topic.Object]*objectReader, keys *OffsetMap, now int64) *keyRound {
	return &keyRound{
		cleaner: cleaner{KeyConfig: KeyConfig{
			Map: keys, Start: p.start, Dirty: p.log.Cleaned, Upto: p.log.Upto, End: last.end,
			Now: now, MinLag: p.log.Limits.MinLag, DeleteRetention: p.deleteRetention,
			Producer: last.last, MaxRaw: int(c.cfg.Keys.MaxRaw),
		}},
		part: p, objects: objects, limit: c.cfg.Merge.ObjectBytes,
	}
}

// fillSome fills the map from the next runs, one at least, and most bytes of them at most. With the last of them the map says
// how far this round goes, and the runs below are cut into stretches. A run that the round goes only into is written anew as
// a whole.
func (r *keyRound) fillSome(most int64) error {
	if r.reached == 0 {
		r.beginFill()
	}
	runs, first, size := r.part.runs, r.reached, int64(0)
	for r.reached < len(runs) {
		more := runs[r.reached].Size()
		if runs[r.reached].Next <= r.Dirty {
			more = 0 // nothing of it is read
		}
		if size += more; size > most && size > more {
			break
		}
		r.reached++
	}
	more, err := r.fillFrom(r.source(runs[first:r.reached]))
	if err != nil || more && r.reached < len(runs) {
		return err
	}
	if r.stats.Cleaned <= r.Dirty {
		return fmt.Errorf("%w behind offset %d", errNotCleaned, r.Dirty)
	}
	r.forget()
	r.cut()
	r.filled = true
	return nil
}

// cut cuts the runs that this round goes over into stretches.
func (r *keyRound) cut() {
	first, size := 0, int64(0)
	runs := r.part.runs
	for i, run := range runs {
		if run.Base >= r.stats.Cleaned {
			runs = runs[:i]
			break
		}
		if size += run.Size(); size > r.limit && i > first {
			r.stretches = append(r.stretches, runs[first:i])
			first, size = i, run.Size()
		}
	}
	r.stretches = append(r.stretches, runs[first:])
}

// write writes what is left of a stretch as one run, and says whether another follows.
func (r *keyRound) write(w *segment.ObjectWriter, stretch int) (part control.ManifestPart, more bool, err error) {
	runs := r.stretches[stretch]
	g := goal{r.part.log.Partition, runs[0].Base, runs[len(runs)-1].Next, objectsOf(runs)}
	base, err := r.base(runs[0])
	if err != nil {
		return part, false, err
	}
	if err := w.Begin(g.partition, base, levelRuns); err != nil {
		return part, false, err
	}
	w.Cleaned(min(r.stats.Cleaned, g.to))
	w.Erased(min(erasedFrom(runs), uint64(g.to-base)))
	r.out = w.Append
	if err := r.filterFrom(r.source(runs), max(r.Start, base)); err != nil {
		return part, false, err
	}
	run, err := w.End(g.to)
	return g.part(&run), stretch+1 < len(r.stretches), err
}

// base gives where what is written of a run begins: extents that lie wholly below the log start are left out.
func (r *keyRound) base(run topic.Run) (topic.Offset, error) {
	if run.Base >= r.Start {
		return run.Base, nil
	}
	extents, err := r.objects[run.Object].extents(r.ctx, r.part.log.Partition, run)
	for _, e := range extents {
		if e.Next > r.Start {
			return e.Base, err
		}
	}
	return run.Base, err
}

// source gives the batches of neighbouring runs.
func (r *keyRound) source(runs []topic.Run) KeySource {
	return func(from topic.Offset) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for i, run := range runs {
				if run.Next <= from {
					continue
				}
				o := r.objects[run.Object]
				extents, err := o.extents(r.ctx, r.part.log.Partition, run)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, e := range extents {
					if e.Next <= from {
						continue
					}
					raw, err := o.batches(r.ctx, e)
					if !yield(raw, err) || err != nil {
						return
					}
				}
				if i+1 < len(runs) && (run.Size() > o.step || len(r.objects) > mostRead) {
					o.have = nil
				}
			}
		}
	}
}

func (r *keyRound) tell(ctx context.Context) {
	st := r.stats
	slog.DebugContext(ctx, "cleaned by key", "partition", r.part.log.Partition.String(), "from", r.Dirty, "to", st.Cleaned, "keys", st.Keys,
		"records", st.RecordsIn, "left", st.RecordsOut, "tombstones", st.Tombstones, "unreadable", st.Unreadable)
	if st.Unreadable > 0 {
		slog.WarnContext(ctx, "batches are kept whole by key compaction: their records cannot be read or are too large unpacked",
			"partition", r.part.log.Partition.String(), "batches", st.Unreadable)
	}
}

// count adds up what cleanings did.
func (c *Compactor) count(st KeyStats) {
	m := &c.merged
	m.keyRecords.Add(st.RecordsIn)
	m.keyDropped.Add(st.RecordsIn - st.RecordsOut)
	m.keyTombstones.Add(st.Tombstones)
	m.keyUnreadable.Add(st.Unreadable)
}
