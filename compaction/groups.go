package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// group is what this agent remembers of the partitions of one owner: they are compacted together, as their extents lie in
// the same slots.
type group struct {
	progress uint64    // changes with what is swapped in
	since    time.Time // when that was seen first
	done     bool      // this agent swapped something in that is not in progress yet
	held     bool      // this agent did the last job: it goes on, wherever its place is
	rested   time.Time // not before, after a job that failed
	tries    int       // that failed

	ends   uint64       // changes with what is swapped in of slots
	idle   time.Time    // when that was seen first
	turn   int          // of what it does: which is asked first
	pass   pass         // of what gathered at level 1
	oldest topic.Object // of that,
	waits  time.Time    // since when
}

// errTold says that people were told already.
var errTold = errors.New("job failed")

// groups are all of them, by owner. They belong to the one who works.
type groups struct {
	state *control.State // they were looked at in
	all   map[topic.JournalID]*group
	once  bool            // all are this agent's, and have waited for long
	last  topic.JournalID // whose job was done last
	quiet time.Time       // in this state there is nothing to do until then: what is asked goes over all partitions
}

// mostQuiet is for how long nothing is looked at while the control state does not change.
const mostQuiet = 30 * time.Second

// look takes in what changed.
func (g *groups) look(s *control.State, now time.Time) {
	if g.state == s {
		return
	}
	g.state, g.quiet = s, time.Time{}
	sums, ends := make(map[topic.JournalID]uint64), make(map[topic.JournalID]uint64)
	for _, j := range s.OpenJournals() {
		sums[j.ID] = 1
	}
	for p, c := range s.Compactions() {
		if a, ok := s.Owner(p); ok {
			sums[a.Journal] += uint64(c.End)*31 + uint64(c.Start)*7 + uint64(cleanedTo(c.Runs))*13 + uint64(len(c.Runs))
			ends[a.Journal] += uint64(c.End)
		}
	}
	if g.all == nil {
		g.all = make(map[topic.JournalID]*group)
	}
	for j := range g.all {
		if _, ok := sums[j]; !ok {
			delete(g.all, j)
		}
	}
	for j, sum := range sums {
		if have := g.all[j]; have == nil {
			g.all[j] = &group{progress: sum, since: now, ends: ends[j], idle: now}
		} else if have.progress != sum {
			have.progress, have.since = sum, now
			have.held, have.done = have.done, false
			if have.ends != ends[j] {
				have.ends, have.idle = ends[j], now
			}
		}
	}
}

// mine gives the groups that are this agent's to work on now: of which it is the first by rendezvous, and those that the
// ones before it did nothing about for long. Two who work on one group make some garbage, and the control log keeps one
// job of both.
func (g *groups) mine(s *control.State, cfg Config, now time.Time) map[topic.JournalID]bool {
	out := make(map[topic.JournalID]bool)
	for j, have := range g.all {
		item := j
		for i := range item {
			item[i] ^= 0xff // so that the owner itself is a candidate like all others
		}
		place, _ := cfg.Ranked(s, item)
		if g.once || place >= 0 && (have.held || now.Sub(have.since) >= time.Duration(place)*(cfg.Merge.Interval+cfg.Stagger)) {
			out[j] = true
		}
	}
	return out
}

// inTurn lists owners so that none is kept waiting by another.
func (g *groups) inTurn(owners map[topic.JournalID]bool, now time.Time) []topic.JournalID {
	var out []topic.JournalID
	for j := range owners {
		if !now.Before(g.all[j].rested) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b topic.JournalID) int { return bytes.Compare(a[:], b[:]) })
	n, found := slices.BinarySearchFunc(out, g.last, func(a, b topic.JournalID) int { return bytes.Compare(a[:], b[:]) })
	if found {
		n++
	}
	return slices.Concat(out[n:], out[:n])
}

// Compact does one job if one is due and this agent's: extents of slots into an object of level 1, runs of level 1 into
// one of level 2, runs below the log start away, runs by key into ones without what is superseded, or what is left of an
// object into another. It says whether there was one.
// Inputs lie below the newest verified checkpoint (G2). A job that failed leaves everything as it was; its group rests for
// a time that grows.
func (c *Compactor) Compact(ctx context.Context) (bool, error) {
	if err := c.begin(ctx); err != nil {
		return false, err
	}
	defer c.done()
	now, s := time.Now(), c.log.State()
	c.groups.look(s, now)
	newest, ok := s.NewestCheckpoint()
	if !ok || !c.cfg.Open() || now.Before(c.groups.quiet) {
		return false, nil
	}
	owners := c.groups.mine(s, c.cfg, now)
	if c.cleaning != nil && !owners[c.cleaning.owner] {
		c.cleaning = nil // another agent does it
	}
	if len(owners) == 0 {
		return false, nil
	}
	v, err := c.surveyed(ctx, s, newest, owners)
	if err != nil {
		return false, err
	}
	for _, j := range c.groups.inTurn(owners, now) {
		g := c.groups.all[j]
		did, err := c.compactGroup(ctx, s, v, j, now)
		if err == nil && !did {
			continue
		}
		c.groups.last = j
		if err == nil || errors.Is(err, ErrLost) {
			g.tries, g.done = 0, err == nil
			return true, err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		wait := min(firstRetry<<min(g.tries, 10), lastRetry)
		g.rested, g.tries = time.Now().Add(wait/2+rand.N(wait)), g.tries+1
		c.tellFailed(ctx, j, err)
		return false, fmt.Errorf("compact partitions of journal %s: %w: %w", j, errTold, err)
	}
	if v.cut && v.read != c.progress() { // more was left out than was compacted since
		c.survey = nil
		return false, nil
	}
	c.groups.quiet = now.Add(min(mostQuiet, c.cfg.Merge.Interval/4))
	return false, nil
}

// progress changes with everything that is swapped in.
func (c *Compactor) progress() uint64 {
	var sum uint64
	for _, g := range c.groups.all {
		sum += g.progress
	}
	return sum
}

// compactGroup does a job of a group, or a slice of one. Its kinds take turns, so that none keeps the others waiting.
func (c *Compactor) compactGroup(ctx context.Context, s *control.State, v *survey, owner topic.JournalID, now time.Time) (bool, error) {
	w := groupWork{Compactor: c, state: s, survey: v, owner: owner, group: c.groups.all[owner], now: now}
	turns := [...]func(context.Context) (bool, error){w.slots, w.drops, w.keys, w.runs}
	if c.groups.once {
		w.group.turn = 0 // all that comes out of slots is cleaned and merged together
	}
	for i := range turns {
		at := (w.group.turn + i) % len(turns)
		if did, err := turns[at](ctx); did || err != nil {
			w.group.turn = at + 1
			return did, err
		}
	}
	return false, nil
}

// groupWork is a look at what there is to do for a group.
type groupWork struct {
	*Compactor
	state  *control.State
	survey *survey
	owner  topic.JournalID
	group  *group
	now    time.Time
	runsOf []held // of the group's partitions, but of those that are being cleaned by key; nil: not asked for yet
}

func (w *groupWork) tellDone(ctx context.Context, kind Kind, in int64, m control.Manifest) {
	w.merged.jobs[kind].Add(1)
	slog.DebugContext(ctx, "compacted", "job", kind.String(), "group", w.owner.String(), "partitions", len(m.Parts), "read", in,
		"written", m.Size, "took", time.Since(w.now))
}

func (w *groupWork) held() []held {
	if w.runsOf == nil {
		w.runsOf = w.survey.heldBy(w.state, w.owner)
		w.runsOf = slices.DeleteFunc(w.runsOf, func(h held) bool { return w.cleaning.cleans(h.partition) })
	}
	return w.runsOf
}

// slots makes extents into runs.
func (w *groupWork) slots(ctx context.Context) (bool, error) {
	sources := w.survey.sources(w.state, w.owner)
	if !isDue(sources, w.Compactor.groups.idleOf(w.owner, w.now, w.cfg.Merge.Interval), w.cfg.Merge) {
		return false, nil
	}
	job := planSlots(sources, w.memory())
	m, err := w.mergeSlots(ctx, w.state, job)
	if err == nil {
		err = w.swap(ctx, m)
	}
	if err == nil {
		w.tellDone(ctx, FromSlots, job.bytes, m)
	}
	return true, err
}

// drops takes runs away that lie below the log start.
func (w *groupWork) drops(ctx context.Context) (bool, error) {
	goals := planDrops(w.held())
	if len(goals) == 0 {
		return false, nil
	}
	var m control.Manifest
	for _, g := range goals {
		m.Parts = append(m.Parts, g.part(nil))
	}
	err := w.swap(ctx, m)
	if err == nil {
		w.tellDone(ctx, Drop, 0, m)
	}
	return true, err
}

// keys cleans partitions by key, one slice at a time. Groups take turns with whole jobs: one of them has its map in memory.
func (w *groupWork) keys(ctx context.Context) (bool, error) {
	if w.cleaning != nil && w.cleaning.owner != w.owner {
		return false, nil
	}
	if w.cleaning == nil {
		job, now, ok := w.dueKeys(ctx, w.state, w.held())
		if !ok {
			return false, nil
		}
		work, err := w.beginKeys(ctx, w.owner, job, now)
		if err != nil {
			return true, err
		}
		w.cleaning = work
	}
	m, in, more, err := w.cleanKeys(ctx, w.cleaning)
	if m != nil {
		w.tellDone(ctx, Keys, in, *m)
	}
	if !more {
		w.cleaning = nil
	}
	return true, err
}

// runs merges what gathered at level 1, a range of partitions at a time, or writes an object anew of which little is left.
func (w *groupWork) runs(ctx context.Context) (bool, error) {
	kind := FromRuns
	job, ok := w.gathered(w.group, w.held(), w.now).next(w.state, w.cleaning)
	if !ok && wasteful(w.state, w.limits()) {
		kind = Rewrite
		all := slices.DeleteFunc(w.survey.heldBy(w.state, topic.JournalID{}), func(h held) bool { return w.cleaning.cleans(h.partition) })
		job, ok = planRewrite(all, w.state.Objects(), func(p topic.Partition) bool {
			a, ok := w.state.Owner(p)
			return ok && a.Journal == w.owner
		}, w.limits())
	}
	if !ok {
		return false, nil
	}
	m, err := w.mergeOne(ctx, w.state, job)
	if err == nil {
		w.tellDone(ctx, kind, job.bytes, m)
	}
	return true, err
}

// isDue says whether the extents of a group are to be compacted: they are many bytes, lie in many slots, or nothing of the
// group was for long.
func isDue(sources []source, idle time.Duration, cfg MergeConfig) bool {
	if len(sources) == 0 {
		return false
	}
	if idle >= cfg.Interval {
		return true
	}
	bytes := int64(0)
	slots := make(map[slotExtent]struct{})
	for _, s := range sources {
		for _, e := range s.extents {
			bytes += int64(e.Length)
			slots[slotExtent{journal: e.Journal, slot: e.Slot}] = struct{}{}
			if bytes >= cfg.Bytes || len(slots) >= cfg.Slots {
				return true
			}
		}
	}
	return false
}

func (c *Compactor) limits() limits {
	m := c.cfg.Merge
	room := max(int(m.InputBytes/m.ReadBytes), m.LeastGather)
	return limits{
		object: m.ObjectBytes, rest: m.RestBytes, gather: m.GatherBytes, objects: min(m.Objects, room), least: m.LeastGather, waste: leastWaste,
	}
}

// leastWaste is how many bytes an object must give back to be written anew.
const leastWaste = 1 << 20

// wasteful says whether there may be an object to be written anew.
func wasteful(s *control.State, l limits) bool {
	for _, info := range s.Objects() {
		if waste := info.Size - info.Live; waste >= info.Live && waste >= l.waste {
			return true
		}
	}
	return false
}

// tellFailed says what a job failed for. What is damaged or not there stays so: people must know, and the data stays.
func (c *Compactor) tellFailed(ctx context.Context, owner topic.JournalID, err error) {
	c.merged.failed.Add(1)
	if damaged(err) {
		c.merged.damaged.Add(1)
		slog.ErrorContext(ctx, "what is to be compacted is damaged or missing, it stays as it is", "group", owner.String(), "error", err)
		return
	}
	slog.WarnContext(ctx, "compaction is tried again later", "group", owner.String(), "error", err)
}

// damaged says whether an error is about what an input holds, or that there is none.
func damaged(err error) bool {
	for _, why := range []error{segment.ErrCorrupt, segment.ErrVersion, segment.ErrInvalid, objectstore.ErrNotFound, objectstore.ErrRange, recordbatch.ErrCRC} {
		if errors.Is(err, why) {
			return true
		}
	}
	return unfit(err)
}
