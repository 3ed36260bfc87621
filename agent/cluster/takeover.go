package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	sealTime = 10 * time.Second // to seal a journal: after that it is judged anew, its owner may be back
	hintTime = time.Second      // what is asked of Redis on the way of a takeover: it is never needed
)

// absentees are the open journals that are not known to live. Safe for concurrent use.
type absentees struct {
	dead     atomic.Pointer[[]topic.JournalID] // by their heartbeats; Watch writes it
	unjoined atomic.Pointer[[]topic.JournalID] // by not re-attaching to the era that this agent builds; Index writes it
}

// has says whether a journal is one of them.
func (a *absentees) has(j topic.JournalID) bool {
	for _, list := range []*[]topic.JournalID{a.dead.Load(), a.unjoined.Load()} {
		if list != nil && slices.Contains(*list, j) {
			return true
		}
	}
	return false
}

// Live lists the open journals that may be given partitions: those that do not drain and are not known to be dead, by id.
func (e *Engine) Live() []*control.Journal {
	return slices.DeleteFunc(e.State().OpenJournals(), func(j *control.Journal) bool {
		return j.Draining || e.out.has(j.ID)
	})
}

// loads lists the journals that may own what is spread now, with what they own: those that live, or, if nobody is known
// to, all that are open; but not except. Those that drain are among them and marked.
func (e *Engine) loads(s *control.State, except topic.JournalID) []placement.Load {
	var living, open []placement.Load
	for _, j := range s.OpenJournals() {
		if j.ID == except {
			continue
		}
		l := Load(j)
		open = append(open, l)
		if !e.out.has(j.ID) {
			living = append(living, l)
		}
	}
	if len(living) == 0 {
		return open
	}
	return living
}

// Load is a journal as placement sees it.
func Load(j *control.Journal) placement.Load {
	return placement.Load{Journal: j.ID, Zone: j.Zone, Weight: j.Weight, Partitions: j.Partitions(), Draining: j.Draining}
}

// spread picks owners for partitions that have none, among those that live, except one.
func (e *Engine) spread(s *control.State, partitions []topic.Partition, except topic.JournalID) []topic.JournalID {
	return placement.Spread(partitions, e.loads(s, except), func(id topic.JournalID, of topic.ID) int {
		j, _ := s.Journal(id)
		return j.PartitionsOf(of)
	})
}

// Takeover seals a journal whose agent is thought dead and gives its partitions to those that live (F2 to F4). It is done
// as well when another agent was first. Redis makes it faster and is not needed. It may be repeated after any error, and
// done by several agents at once; it is wrong only by being done to one that lives, which costs that one its journal.
func (e *Engine) Takeover(ctx context.Context, j topic.JournalID) error {
	if err := e.CatchUp(ctx); err != nil {
		return err
	}
	journal, ok := e.State().Journal(j)
	switch {
	case !ok:
		return fmt.Errorf("take over %s: %w", j, ErrUnknownJournal)
	case journal.Sealed:
		return nil
	case j == e.journal:
		return fmt.Errorf("take over %s: it is this agent's own", j)
	case len(e.loads(e.State(), j)) == 0 && journal.Partitions() > 0:
		return fmt.Errorf("take over %s: %w", j, ErrNobody)
	}
	began := time.Now()
	seal, err := e.sealDead(ctx, journal)
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	ends, err := e.readToSeal(ctx, j, seal)
	if err != nil {
		return fmt.Errorf("take over %s, sealed at slot %d: %w", j, seal, err)
	}
	e.indexDead(ctx, j, seal) // F3
	given, err := e.handOver(ctx, j, seal, journal.Trim, ends)
	if err != nil {
		return fmt.Errorf("take over %s, sealed at slot %d: %w", j, seal, err)
	}
	if given >= 0 {
		tell(e.cfg.Events.TakenOver)
		slog.InfoContext(ctx, "journal taken over", "dead", j.String(), "node_id", journal.NodeID, "seal", seal, "partitions", given, "took", time.Since(began))
	}
	return nil
}

// sealDead finds where a journal ends and closes it there (F2).
func (e *Engine) sealDead(ctx context.Context, j *control.Journal) (topic.Slot, error) {
	ctx, cancel := context.WithTimeout(ctx, sealTime)
	defer cancel()
	from, ok := topic.Slot(0), false
	var err error
	if hint := e.hint(ctx, j.ID); hint > 0 {
		from, ok, err = slotlog.HintToSeal(ctx, e.store, j.ID, j.Trim, hint, j.K)
	}
	if err == nil && !ok {
		from, err = slotlog.FirstToSeal(ctx, e.store, j.ID, j.Trim, j.K)
	}
	if err != nil {
		return 0, err
	}
	by := "taken over by journal " + e.journal.String()
	if e.journal == (topic.JournalID{}) {
		by = "taken over by odradek cluster takeover"
	}
	return slotlog.SealJournal(ctx, e.store, j.ID, from, by)
}

// hint asks Redis how far a journal is indexed, 0 if it does not say: a place to look, no more (F2).
func (e *Engine) hint(ctx context.Context, j topic.JournalID) topic.Slot {
	newest, ok := e.State().NewestEra()
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, hintTime)
	defer cancel()
	status, err := e.meta.Current(ctx, uint64(newest.Number))
	if err != nil || !status.Begun {
		return 0
	}
	return status.Journals[j].Next
}

// indexDead indexes what a journal holds below its seal, if this agent keeps the index (F3). Whatever stays undone is
// done by those who need it.
func (e *Engine) indexDead(ctx context.Context, j topic.JournalID, seal topic.Slot) {
	pin := e.beating.pinned()
	if pin == nil || e.era.Load() != pin.Era {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hintTime)
	defer cancel()
	status, err := e.meta.Current(ctx, pin.Era)
	if err == nil {
		_, err = e.indexAll(ctx, *pin, j, status.Journals[j].Next, seal, nil)
	}
	if err != nil {
		slog.DebugContext(ctx, "dead journal not indexed yet", "journal", j.String(), "error", err)
	}
}

// errTrimRose says that a journal was trimmed since its end was looked for.
var errTrimRose = fmt.Errorf("the journal was trimmed meanwhile: %w", ErrVoid)

// handOver says in the control log that a journal is sealed, and spreads its partitions over those that live, each from
// its end on (F4). It returns how many they were, or -1 if another agent was first. saw is the TRIM that the end was looked
// for with: a hole that was found then may be a slot that was deleted since, and its seal means nothing. errTrimRose: there
// is a newer one (S3).
func (e *Engine) handOver(ctx context.Context, j topic.JournalID, seal, saw topic.Slot, ends map[topic.Partition]topic.Offset) (int, error) {
	given := -1
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		given = -1
		dead, ok := s.Journal(j)
		if !ok || dead.Sealed {
			return nil, nil
		}
		if dead.Trim != saw {
			return nil, errTrimRose
		}
		r := control.JournalSealed{Journal: j, SealSlot: seal, Trim: saw}
		owned := s.PartitionsOf(j)
		partitions := make([]topic.Partition, len(owned))
		for i, a := range owned {
			partitions[i] = a.Partition
		}
		to := e.spread(s, partitions, j)
		if to == nil && len(owned) > 0 {
			return nil, ErrNobody
		}
		for i, a := range owned {
			r.Parts = append(r.Parts, control.Reassigned{
				Partition: a.Partition, OldEpoch: a.Epoch, ToJournal: to[i],
				Base: max(a.Base, ends[a.Partition]), // I3: fixed by the seal, whatever Redis says
			})
		}
		given = len(owned)
		return []control.Record{r}, nil
	})
	if err != nil {
		return 0, err // decide may still write given
	}
	if len(outcomes) > 0 && outcomes[0].Void {
		return 0, fmt.Errorf("%w: %s", ErrVoid, outcomes[0].Why)
	}
	e.forgetBeats(ctx, j)
	return given, nil
}

// forgetBeats takes a sealed journal's counter out of Redis. Losing it costs nothing.
func (e *Engine) forgetBeats(ctx context.Context, j topic.JournalID) {
	pin := e.beating.pinned()
	if pin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hintTime)
	defer cancel()
	if err := e.meta.Remove(ctx, *pin, []topic.JournalID{j}); err != nil && !errors.Is(err, metadata.ErrEra) {
		slog.DebugContext(ctx, "counter of a sealed journal not removed", "journal", j.String(), "error", err)
	}
}
