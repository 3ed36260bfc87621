package compaction

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
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

// cleanKeys does a job. A partition that fits into one object with others is swapped with them. One that does not is swapped
// stretch by stretch from the front on, each into an object of its own. Whatever stops that in between, what was swapped is
// right: a record that is gone has a newer one further on, and a tombstone that is gone has no record further in front.
func (c *Compactor) cleanKeys(ctx context.Context, job keyJob, now int64) (in []int64, done []control.Manifest, _ error) {
	lasts, err := c.lastsOf(ctx, job)
	if err != nil {
		return nil, nil, err
	}
	objects := c.readersOf(job.runs(), c.cfg.Merge.InputBytes/keyReads)
	keys := NewOffsetMap(job.mapBytes(c.cfg.Keys.MapBytes))
	rounds := make([]*keyRound, len(job.parts))
	for stretch, more := 0, true; more; stretch++ {
		more = false
		var parts []control.ManifestPart
		s := c.log.State()
		m, err := c.output(ctx, s, func(w *segment.ObjectWriter) error {
			for i, p := range job.parts {
				part, left, err := func() (control.ManifestPart, bool, error) {
					if rounds[i] == nil {
						last := lasts[p.log.Partition]
						rounds[i] = c.newRound(ctx, p, last, objects, keys, now)
						if err := rounds[i].begin(); err != nil {
							return control.ManifestPart{}, false, err
						}
					}
					return rounds[i].write(w, stretch)
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
		if err = c.check(ctx, m, err); err == nil {
			err = c.swap(ctx, m)
		}
		if err != nil {
			return in, done, err
		}
		read := int64(0)
		for i := range job.parts {
			for _, r := range rounds[i].stretches[stretch] {
				read += r.Size()
			}
		}
		c.merged.read.Add(read)
		in, done = append(in, read), append(done, m)
	}
	for i, p := range job.parts {
		rounds[i].tell(ctx)
		c.count(rounds[i].stats)
		c.rest(p.log.Partition, nil)
	}
	return in, done, nil
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
	h, err := c.head(ctx, info)
	if err != nil {
		return nil, err
	}
	out := make(map[topic.Partition]producersAt, len(job.parts))
	for _, p := range job.parts {
		end := h.End(p.log.Partition)
		if end < p.log.Upto {
			return nil, fmt.Errorf("%w: %s is in runs up to %d, in checkpoint at %d up to %d: %w", errNotCleaned, p.log.Partition, p.log.Upto, h.Control, end, checkpoint.ErrCorrupt)
		}
		out[p.log.Partition] = producersAt{end: end}
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
	ctx       context.Context
	part      keyPart
	objects   map[topic.Object]*objectReader
	stretches [][]topic.Run
	limit     int64 // stored bytes of a stretch
}

func (c *Compactor) newRound(ctx context.Context, p keyPart, last producersAt, objects map[topic.Object]*objectReader, keys *OffsetMap, now int64) *keyRound {
	return &keyRound{
		cleaner: cleaner{KeyConfig: KeyConfig{
			Map: keys, Start: p.start, Dirty: p.log.Cleaned, Upto: p.log.Upto, End: last.end,
			Now: now, MinLag: p.log.Limits.MinLag, DeleteRetention: p.deleteRetention,
			Producer: last.last, MaxRaw: int(c.cfg.Keys.MaxRaw),
		}},
		ctx: ctx, part: p, objects: objects, limit: c.cfg.Merge.ObjectBytes,
	}
}

// begin fills the map, which says how far this round goes, and cuts the runs below into stretches. A run that the round goes
// only into is written anew as a whole.
func (r *keyRound) begin() error {
	if err := r.fill(r.source(r.part.runs)); err != nil {
		return err
	}
	if r.stats.Cleaned <= r.Dirty {
		return fmt.Errorf("%w behind offset %d", errNotCleaned, r.Dirty)
	}
	r.forget()
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
	return nil
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
