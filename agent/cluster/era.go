package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

const (
	calmAfter    = 10 * time.Minute // an era that was built anew so long ago delays the next one no more
	firstPause   = 10 * time.Second // before the second era at one identity; twice as long before each after that (R1)
	longestPause = time.Minute
	stoodStill10 = 10 * time.Second      // an era whose building stood still for so long is followed by another (R2)
	pollBuild    = 50 * time.Millisecond // between two looks at an era being built
	tellProgress = time.Second           // while a build waits
	loadEffects  = 1000                  // effects per call while a checkpoint is loaded
)

// eras is what Index remembers from one attempt to the next.
type eras struct {
	named   int32            // the era that this engine named and has not opened yet, or 0
	opened  uint64           // the newest era that was seen open
	bad     uint64           // the newest era that contradicts the log: another one must follow
	still   uint64           // the newest era whose builder stood still: another one follows at once (R2)
	seen    int32            // the newest era there is
	base    *checkpoint.Head // of the checkpoint that the newest era of this engine was to be loaded from; nil: none was read
	repeats []time.Time      // when eras were noticed that name the identity of the one before, the last minutes' only
}

// notice looks at the newest eras.
func (r *eras) notice(s *control.State) {
	all := s.Eras()
	for _, era := range all[min(int(r.seen), len(all)):] {
		if n := era.Number - 1; r.seen > 0 && n > 0 && sameIdentity(all[n-1], era.RunID, era.ReplicationID) {
			r.repeats = append(r.repeats, time.Now())
		}
		r.seen = era.Number
	}
	r.repeats = slices.DeleteFunc(r.repeats, func(t time.Time) bool { return time.Since(t) > calmAfter })
}

// wait gives how long an era at an identity that was named before has to wait still (R1): a log and an index that keep
// disagreeing must not fill the control log with eras.
func (r *eras) wait() time.Duration {
	n := len(r.repeats)
	if n == 0 {
		return 0
	}
	return min(longestPause, firstPause<<min(n-1, 10)) - time.Since(r.repeats[n-1])
}

func sameIdentity(era control.Era, runID, replicationID string) bool {
	return era.RunID == runID && era.ReplicationID == replicationID
}

// pin finds the era that this Redis holds open, or helps to build it, or names the next one and builds that.
func (e *Engine) pin(ctx context.Context) (metadata.Pin, error) {
	for {
		runID, replicationID, err := e.meta.Identity(ctx)
		if err != nil {
			return metadata.Pin{}, err
		}
		if err := e.CatchUp(ctx); err != nil {
			return metadata.Pin{}, err
		}
		if err := e.over(); err != nil { // what was fenced indexes nothing and names no era
			return metadata.Pin{}, err
		}
		e.eras.notice(e.State())
		newest, _ := e.State().NewestEra()
		if newest.Number > 0 && sameIdentity(newest, runID, replicationID) {
			done, err := e.enter(ctx, pinOf(newest))
			if done || err != nil {
				return pinOf(newest), err
			}
			if wait := e.eras.wait(); wait > 0 && e.eras.still != pinOf(newest).Era {
				return metadata.Pin{}, errors.Join(rest(ctx, min(wait, retryIndex)), fmt.Errorf("era %d must wait %v: %w", newest.Number+1, wait.Round(time.Second), errPaused))
			}
		}
		// The control log may have taken long to read. An identity that Redis has lost meanwhile must not be named behind the
		// one that it has now: that one's era would not be the newest any more, and nobody could work there (R2).
		if now, nowReplication, err := e.meta.Identity(ctx); err != nil {
			return metadata.Pin{}, err
		} else if now != runID || nowReplication != replicationID {
			continue
		}
		// R1: an identity never named before is named at once.
		if err := e.nameEra(ctx, control.Era{Number: newest.Number + 1, RunID: runID, ReplicationID: replicationID}); err != nil {
			return metadata.Pin{}, err
		}
	}
}

// errPaused says that the next era at this identity may not be named yet.
var errPaused = errors.New("another era was named a short time ago")

// enter comes into the newest era, which names this Redis: done if it is open now. Without an error and not done it must
// be followed by another.
func (e *Engine) enter(ctx context.Context, pin metadata.Pin) (done bool, err error) {
	if pin.Era == e.eras.bad {
		return false, nil
	}
	status, err := e.meta.Current(ctx, pin.Era)
	if err != nil {
		return false, err
	}
	switch {
	case status.RunID != pin.RunID || status.ReplicationID != pin.ReplicationID:
		return false, fmt.Errorf("redis changed while era %d was looked at: %w", pin.Era, metadata.ErrEra)
	case status.Open():
		return true, nil
	case pin.Era <= e.eras.opened: // it was open, and this Redis forgot it: keys are missing (R1)
		return false, nil
	case pin.Era == uint64(e.eras.named): // begun here; if something came in between, go on where it stopped
		err := e.build(ctx, pin)
		if errors.Is(err, errRebuild) {
			e.eras.bad = pin.Era
		}
		return err == nil, err
	case len(e.State().OpenJournals()) == 1: // nobody else is there who would build it
		return false, nil
	}
	done, err = e.join(ctx, pin)
	if errors.Is(err, errRebuild) {
		e.eras.bad = pin.Era
	}
	return done, err
}

// nameEra appends ERA: who wins the number recovers (R2). When another agent was first, nothing is appended. An identity
// that an older era named is an isolated master's: act as if Redis were away.
func (e *Engine) nameEra(ctx context.Context, era control.Era) error {
	base, err := e.eraBase(ctx)
	if err != nil {
		return fmt.Errorf("name era %d: %w", era.Number, err)
	}
	if base != nil {
		era.Checkpoint = base.Control
	}
	isolated := ""
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		isolated = ""
		if newest, _ := s.NewestEra(); newest.Number >= era.Number {
			return nil, nil
		}
		if _, kept := verifiedAt(s, era.Checkpoint); era.Checkpoint > 0 && !kept {
			return nil, fmt.Errorf("name era %d: %w", era.Number, errUnkept)
		}
		if o := s.Judge(era); o.Void {
			isolated = o.Why
			return nil, nil
		}
		return []control.Record{era}, nil
	})
	switch {
	case err != nil:
		return err // decide may still write isolated
	case isolated != "":
		return fmt.Errorf("name era %d: %w: %s", era.Number, metadata.ErrUnavailable, isolated)
	case len(outcomes) > 0 && !outcomes[0].Void:
		e.eras.named = era.Number
	}
	return nil
}

// reattach gives every older era up for good and enters the one being built, with what counts of this agent's journal;
// from now on it beats there (R3).
func (e *Engine) reattach(ctx context.Context, pin metadata.Pin) error {
	if err := e.meta.Reattach(ctx, pin, e.journal, e.index.counted()); err != nil {
		return err
	}
	return e.register(ctx, pin)
}

// register starts this agent's heartbeat in an era.
func (e *Engine) register(ctx context.Context, pin metadata.Pin) error {
	me, ok := e.State().Journal(e.journal)
	if !ok {
		return errors.New("own journal is not in the control state")
	}
	if me.Sealed {
		return nil // it left: what it wrote is indexed still, but nobody waits for its heartbeat
	}
	info := fmt.Sprintf("node %d zone %q build %s", me.NodeID, me.Zone, me.Build)
	if err := e.meta.Register(ctx, pin, e.journal, info); err != nil {
		return err
	}
	e.beating.attach(pin)
	e.beatOnce(ctx, pin)
	return nil
}

// join enters an era that another agent builds and indexes this agent's slots there, until it is open. It is not done if
// the builder stood still for 10 s: then another era must follow (R2).
func (e *Engine) join(ctx context.Context, pin metadata.Pin) (done bool, err error) {
	slog.InfoContext(ctx, "entering the era that another agent builds", "era", pin.Era)
	if err := e.reattach(ctx, pin); err != nil {
		return false, err
	}
	var builder patience
	read := time.Now()
	for {
		if time.Since(read) > pollUnwell {
			if err := e.CatchUp(ctx); err != nil {
				return false, err
			}
			read = time.Now()
		}
		if err := e.same(pin); err != nil {
			return false, err
		}
		if err := e.over(); err != nil {
			return false, err
		}
		status, err := e.meta.Current(ctx, pin.Era)
		switch {
		case err != nil:
			return false, err
		case status.Open():
			return true, nil
		case !status.Begun:
			return false, fmt.Errorf("era %d is gone while it was built: %w", pin.Era, metadata.ErrEra)
		case builder.stood(status.Progress) > stoodStill10:
			slog.WarnContext(ctx, "the builder of an era stands still", "era", pin.Era)
			e.eras.still = pin.Era
			return false, nil
		case status.Loaded:
			if err := e.contribute(ctx, pin, status); err != nil {
				return false, err
			}
		}
		if err := e.restOrKick(ctx, pollBuild); err != nil {
			return false, err
		}
	}
}

// contribute applies control records to an era being built and indexes this agent's slots, as far as it goes.
func (e *Engine) contribute(ctx context.Context, pin metadata.Pin, status metadata.EraStatus) error {
	if err := e.applyEffects(ctx, pin); err != nil {
		return err
	}
	mine := status.Journals[e.journal]
	if !mine.Opened {
		return nil // its JOURNAL_OPEN was not applied when the status was read
	}
	if !mine.Attached { // the keys were lost in between, with the identity kept
		return fmt.Errorf("journal is not attached to era %d any more: %w", pin.Era, metadata.ErrEra)
	}
	_, err := e.indexOwn(ctx, pin, mine.Next)
	if errors.Is(err, errBehind) {
		return nil // sealed journals come first
	}
	return err
}

func (e *Engine) restOrKick(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.kick:
	case <-t.C:
	}
	return nil
}

// build makes the index anew from the bucket (R3) and opens it (R4). Until then owners serve everything without it.
func (e *Engine) build(ctx context.Context, pin metadata.Pin) error {
	slog.InfoContext(ctx, "building the index from the bucket", "era", pin.Era, "run_id", pin.RunID)
	began := time.Now()
	if err := e.meta.Begin(ctx, pin); err != nil {
		return err
	}
	s := e.State()
	newest, _ := s.NewestEra()
	if pinOf(newest) != pin {
		return fmt.Errorf("era %d follows %d: %w", newest.Number, pin.Era, metadata.ErrEra)
	}
	base, err := e.loadBase(ctx, newest)
	if err != nil {
		return err
	}
	// Journals are indexed from where the checkpoint ends. If slots behind that were trimmed since, a newer one is named.
	if err := outlived(s, func(j topic.JournalID) topic.Slot { return nextIn(base, j) }); err != nil {
		return fmt.Errorf("era %d is of checkpoint %d: %w: %w", newest.Number, newest.Checkpoint, err, errRebuild)
	}
	for part := range slices.Chunk(stateEffects(s, base), loadEffects) {
		if err := e.meta.Load(ctx, pin, part); err != nil {
			return err
		}
	}
	if err := e.meta.Loaded(ctx, pin, s.Next()-1); err != nil {
		return err
	}
	if err := e.reattach(ctx, pin); err != nil {
		return err
	}
	b := builder{engine: e, pin: pin, waits: make(map[topic.JournalID]time.Time)}
	defer e.out.unjoined.Store(nil)
	for {
		open, err := b.round(ctx)
		if err != nil {
			return err
		}
		if open {
			break
		}
		if err := e.restOrKick(ctx, pollBuild); err != nil {
			return err
		}
	}
	e.eras.named = 0 // a Redis that forgets it from now on gets a new era
	e.eras.opened = pin.Era
	slog.InfoContext(ctx, "era open", "era", pin.Era, "checkpoint", newest.Checkpoint, "took", time.Since(began))
	return e.sweep(ctx, pin)
}

// builder is the recoverer's work on one era.
type builder struct {
	engine *Engine
	pin    metadata.Pin
	waits  map[topic.JournalID]time.Time // since when journals are waited for to re-attach
	told   time.Time                     // when progress was told last
	index  patience                      // for how long nobody indexed anything
	beats  map[topic.JournalID]uint64    // heartbeats when nobody indexed anything any more
}

// round looks at the era once and does what there is to do. It says whether the era is open.
func (b *builder) round(ctx context.Context) (open bool, err error) {
	e := b.engine
	if err := e.CatchUp(ctx); err != nil {
		return false, err
	}
	if err := e.same(b.pin); err != nil {
		return false, err
	}
	if err := e.applyEffects(ctx, b.pin); err != nil {
		return false, err
	}
	s := e.State()
	status, err := e.meta.Current(ctx, b.pin.Era)
	switch {
	case err != nil:
		return false, err
	case status.Open():
		return true, nil
	case !status.Begun:
		return false, fmt.Errorf("era %d is gone while it was built: %w", b.pin.Era, metadata.ErrEra)
	}
	if waiting, err := b.await(ctx, s, status); waiting || err != nil {
		return false, err
	}
	// R3: every open journal re-attached. Now the sealed ones, whose slots may come before others'.
	whole, err := e.indexSealed(ctx, b.pin, b.progress(ctx))
	if err != nil {
		return false, err
	}
	if err := e.contribute(ctx, b.pin, status); err != nil {
		return false, err
	}
	missing, err := b.missing(ctx, s, whole)
	if err != nil || missing {
		return false, err
	}
	var expected []metadata.Expected
	for j := range s.Journals() {
		expected = append(expected, metadata.Expected{Journal: j.ID, Sealed: j.Sealed, Seal: j.SealSlot})
	}
	err = e.meta.Open(ctx, b.pin, s.Next()-1, expected)
	if errors.Is(err, metadata.ErrNotReady) { // something happened since it was looked at
		return false, nil
	}
	return err == nil, err
}

// await says whether open journals have not re-attached yet. Those that do not within two leases are sealed: this era is
// where they would beat.
func (b *builder) await(ctx context.Context, s *control.State, status metadata.EraStatus) (waiting bool, err error) {
	var absent, overdue []topic.JournalID
	for _, j := range s.OpenJournals() {
		if j.ID == b.engine.journal || status.Journals[j.ID].Attached {
			continue
		}
		since, ok := b.waits[j.ID]
		if !ok {
			since = time.Now()
			b.waits[j.ID] = since
		}
		absent = append(absent, j.ID)
		if time.Since(since) >= 2*b.engine.cfg.Lease {
			overdue = append(overdue, j.ID)
		}
	}
	switch {
	case len(absent) == 0:
		b.engine.out.unjoined.Store(nil)
		return false, nil
	case len(overdue) > 0:
		b.engine.out.unjoined.Store(&absent)
		return true, b.seal(ctx, overdue, "did not re-attach")
	case time.Since(b.told) > tellProgress: // waiting counts as work, for two leases at most
		return true, b.progress(ctx)()
	}
	return true, nil
}

// missing says whether journals that re-attached are not indexed up to what they named then, or sealed ones not whole.
// Those that stand still short of it for two leases, with nobody else at work, are sealed. At work is who comes nearer to
// what the era waits for: slots above that, and control records, come for ever in a cluster in use.
func (b *builder) missing(ctx context.Context, s *control.State, whole bool) (bool, error) {
	status, err := b.engine.meta.Current(ctx, b.pin.Era)
	if err != nil {
		return false, err
	}
	var short []topic.JournalID
	var sum uint64
	for _, j := range s.OpenJournals() {
		at := status.Journals[j.ID]
		sum += uint64(min(at.Next, at.Counted))
		if at.Attached && at.Next < at.Counted && j.ID != b.engine.journal {
			short = append(short, j.ID)
		}
	}
	for j := range s.Journals() {
		if j.Sealed {
			sum += uint64(status.Journals[j.ID].Next)
		}
	}
	mine := status.Journals[b.engine.journal]
	still, patient := b.index.stood(sum), 2*b.engine.cfg.Lease
	if still == 0 {
		if b.beats, err = b.engine.meta.Counters(ctx, b.pin); err != nil {
			return false, err
		}
	}
	switch {
	case len(short) == 0 && mine.Next >= mine.Counted && whole:
		return false, nil
	case still == 0 || still < patient && time.Since(b.told) > tellProgress: // waiting counts as work, for two leases at most
		return true, b.progress(ctx)()
	case still >= patient && len(short) > 0:
		b.index = patience{}
		guilty, err := b.guilty(ctx, short)
		if err != nil {
			return false, err
		}
		b.engine.out.unjoined.Store(&guilty)
		return true, b.seal(ctx, guilty, "stands still")
	case still > behindMost:
		return true, fmt.Errorf("era %d cannot be completed: %w", b.pin.Era, errRebuild)
	}
	return true, nil
}

// guilty gives those of the journals that hold the build up which are to be sealed: those that do not beat any more. One
// that beats may only wait for the slots of such a one; where all beat, one is sealed, and the others have their time again.
func (b *builder) guilty(ctx context.Context, short []topic.JournalID) ([]topic.JournalID, error) {
	now, err := b.engine.meta.Counters(ctx, b.pin)
	if err != nil {
		return nil, err
	}
	var dead []topic.JournalID
	for _, j := range short {
		if now[j] == b.beats[j] {
			dead = append(dead, j)
		}
	}
	if len(dead) == 0 {
		return short[:1], nil
	}
	return dead, nil
}

// seal takes over journals that hold a build up.
func (b *builder) seal(ctx context.Context, js []topic.JournalID, why string) error {
	for _, j := range js {
		slog.WarnContext(ctx, "a journal holds the new era up and is taken over", "era", b.pin.Era, "journal", j.String(), "because", why)
		if err := b.engine.Takeover(ctx, j); err != nil {
			return err
		}
		if err := b.progress(ctx)(); err != nil {
			return err
		}
	}
	return nil
}

// progress tells those who watch the build that work was done.
func (b *builder) progress(ctx context.Context) func() error {
	return func() error {
		b.told = time.Now()
		return b.engine.meta.Progress(ctx, b.pin)
	}
}

// sweep deletes what older eras left, a bounded number of keys at a time.
func (e *Engine) sweep(ctx context.Context, pin metadata.Pin) error {
	for {
		more, err := e.meta.Sweep(ctx, pin, 1000)
		if err != nil || !more {
			return err
		}
	}
}

// attach brings an open era to where the log stands, as far as others do not come first: control records, sealed
// journals; and registers this agent. It returns its journal's next slot to index.
func (e *Engine) attach(ctx context.Context, pin metadata.Pin) (topic.Slot, error) {
	if err := e.applyEffects(ctx, pin); err != nil {
		return 0, err
	}
	if err := e.register(ctx, pin); err != nil { // before anything that takes time: others wait for the heartbeat
		return 0, err
	}
	if _, err := e.indexSealed(ctx, pin, nil); err != nil {
		return 0, err
	}
	status, err := e.meta.Current(ctx, pin.Era)
	if err != nil {
		return 0, err
	}
	return status.Journals[e.journal].Next, nil
}
