package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Start reads the control log to its end (B2), or makes the cluster in an empty bucket (S5).
func (e *Engine) Start(ctx context.Context) error {
	if err := e.readControl(ctx); err != nil {
		return err
	}
	if e.State().Ended() {
		return ErrEnded
	}
	if e.State().Next() > 0 {
		return nil
	}
	if err := e.refuseForeign(ctx); err != nil || e.State().Next() > 0 {
		return err
	}
	var id topic.ID
	rand.Read(id[:])
	_, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if s.Next() > 0 {
			return nil, nil
		}
		return []control.Record{control.Genesis{ClusterID: id.String(), Format: control.FormatLevel}}, nil
	})
	return err
}

// refuseForeign keeps a cluster from being born beside another one's remains: a bucket whose control/0 was lost holds
// records that a new cluster would never find. What looks foreign may be a cluster that was just born: then control/0 is
// there by now, and is read.
func (e *Engine) refuseForeign(ctx context.Context) error {
	err := e.foreign(ctx)
	if !errors.Is(err, ErrForeign) {
		return err
	}
	if cerr := e.CatchUp(ctx); cerr != nil {
		return cerr
	}
	if e.State().Next() > 0 {
		return nil
	}
	return err
}

func (e *Engine) foreign(ctx context.Context) error {
	found := errors.New("found")
	for _, prefix := range []string{slotlog.ControlPrefix, slotlog.JournalsPrefix, checkpoint.Prefix, topic.CompactedPrefix} {
		var key string
		err := e.store.List(ctx, prefix, func(i objectstore.Info) error {
			key = i.Key
			return found
		})
		if errors.Is(err, found) && key != slotlog.ControlKey(0) {
			return fmt.Errorf("%w: there is %s", ErrForeign, key)
		}
		if err != nil && !errors.Is(err, found) {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
	}
	status, err := e.meta.Current(ctx, 0)
	if err == nil && status.OpenEra > 0 {
		return fmt.Errorf("%w, and Redis knows a cluster at era %d: is this the right bucket?", ErrForeign, status.OpenEra)
	}
	return nil
}

// Opened is what Boot did.
type Opened struct {
	Journal topic.JournalID
	NodeID  int32
	Sealed  []topic.JournalID // predecessors, oldest first
	History History           // of all partitions
	// Checkpoint is the control number of the checkpoint that the log was read from, 0 if it was read from its beginning.
	Checkpoint topic.Slot
}

// NewJournalID draws the id of a journal to open. The WAL is opened under it before Boot writes it anywhere.
func NewJournalID() topic.JournalID {
	var id topic.JournalID
	rand.Read(id[:])
	return id
}

// Boot opens this agent's journal. It seals the journals that this agent replaces, those that mine names, takes their
// partitions over in the record that opens the new journal (B3, B4), and reads the log: log is told of what the newest
// checkpoint holds, and of every slot above that of every journal that is sealed. Journals of others that are open are left
// alone: Mirror reads them, Watch takes over those of the dead.
func (e *Engine) Boot(ctx context.Context, id topic.JournalID, mine func(topic.JournalID) bool, log Log) (Opened, error) {
	e.journal, e.log = id, log
	replaced, err := e.replaced(ctx, mine)
	if err != nil {
		return Opened{}, err
	}
	nodeID := e.cfg.NodeID
	if nodeID == 0 {
		nodeID = e.earlierNodeID(replaced, mine)
	}
	out := Opened{Journal: id}
	var js []ended
	for j := range e.State().Journals() {
		if j.Sealed {
			js = append(js, ended{j, j.SealSlot})
		}
	}
	var dead []ended
	for _, j := range replaced {
		seal, err := e.seal(ctx, j)
		if err != nil {
			return Opened{}, err
		}
		dead = append(dead, ended{j, seal})
	}
	for _, d := range inOrder(dead) {
		out.Sealed = append(out.Sealed, d.journal.ID)
	}
	js = append(js, dead...)
	if out.History, e.mirror.base, err = e.fold(ctx, e.State(), js, log); err != nil {
		return Opened{}, err
	}
	if base := e.mirror.base; base != nil {
		out.Checkpoint = base.Control
	}
	e.mirror.whole(js)
	if !e.cfg.Alone { // else nothing is ever gained
		e.past.keep(out.History)
	}
	if err := e.open(ctx, id, nodeID, dead, out.History); err != nil {
		return Opened{}, err
	}
	out.NodeID = e.NodeID()
	return out, nil
}

// earlierNodeID gives the node id that this agent had the last time: the same agent, back again, keeps the id that
// clients know it by, whoever sealed its journal. That of another's dead journal is left alone; 0 asks for a new one.
func (e *Engine) earlierNodeID(replaced []*control.Journal, mine func(topic.JournalID) bool) int32 {
	var newest *control.Journal
	for j := range e.State().Journals() {
		if (mine(j.ID) || e.cfg.Alone && !j.Sealed) && (newest == nil || j.Opened > newest.Opened) {
			newest = j
		}
	}
	if newest == nil {
		return 0
	}
	if now, ok := e.State().OpenJournalOf(newest.NodeID); ok && !slices.Contains(replaced, now) {
		return 0 // somebody was told to take it
	}
	return newest.NodeID
}

func (e *Engine) seal(ctx context.Context, j *control.Journal) (topic.Slot, error) {
	from, err := slotlog.FirstToSeal(ctx, e.store, j.ID, j.Trim, j.K)
	if err != nil {
		return 0, err
	}
	return slotlog.SealJournal(ctx, e.store, j.ID, from, "replaced by journal "+e.journal.String())
}

// open appends JOURNAL_OPEN with the seals of the dead. If another agent's record made it void, Boot has to begin anew.
func (e *Engine) open(ctx context.Context, id topic.JournalID, nodeID int32, dead []ended, h History) error {
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		r := control.JournalOpen{
			ID: id, NodeID: nodeID, Endpoints: e.cfg.Endpoints, Zone: e.cfg.Zone, Weight: e.cfg.Weight, K: e.cfg.Window,
			Build: e.cfg.Build, Format: control.FormatLevel,
		}
		for _, d := range dead {
			r.Predecessors = append(r.Predecessors, sealRecord(s, d, id, h))
		}
		return []control.Record{r}, nil
	})
	if err != nil {
		return fmt.Errorf("open journal %s: %w: %w", id, ErrUndecided, err)
	}
	if outcomes[0].Void {
		if j, ok := e.State().OpenJournalOf(e.cfg.NodeID); ok && e.cfg.NodeID != 0 {
			return fmt.Errorf("%w: %d belongs to journal %s; stop that agent or choose another --node-id", ErrNodeID, j.NodeID, j.ID)
		}
		return fmt.Errorf("open journal %s: %w: %s", id, ErrVoid, outcomes[0].Why)
	}
	return nil
}

// sealRecord gives everything that a sealed journal owned to the journal to, each partition from its end on (I3).
func sealRecord(s *control.State, d ended, to topic.JournalID, h History) control.JournalSealed {
	r := control.JournalSealed{Journal: d.journal.ID, SealSlot: d.end, Trim: d.journal.Trim}
	for _, a := range s.PartitionsOf(d.journal.ID) {
		r.Parts = append(r.Parts, control.Reassigned{
			Partition: a.Partition, OldEpoch: a.Epoch, ToJournal: to, Base: max(a.Base, h.Ends[a.Partition]),
		})
	}
	return r
}

// replaced lists the open journals that this agent takes over at once: its own earlier ones, and a dead one that has the
// node id that was asked for.
func (e *Engine) replaced(ctx context.Context, mine func(topic.JournalID) bool) ([]*control.Journal, error) {
	var out []*control.Journal
	s := e.State()
	atOnce := func(j *control.Journal) bool { return e.cfg.Alone || mine(j.ID) || s.Inherits(j) } // no agent of a fork writes an ancestor's
	for _, j := range s.OpenJournals() {
		if atOnce(j) {
			out = append(out, j)
		}
	}
	if e.cfg.NodeID == 0 {
		return out, nil
	}
	j, ok := s.OpenJournalOf(e.cfg.NodeID)
	if !ok || atOnce(j) {
		return out, nil
	}
	slog.InfoContext(ctx, "another journal has this node id, watching its heartbeat", "journal", j.ID.String(), "lease", e.cfg.Lease)
	dead, err := e.sameNode(ctx, []*control.Journal{j})
	return append(out, dead...), err
}

// sameNode gives those of js whose heartbeat did not move for two leases on this process's clock, in the Redis that the
// newest ERA names (F1). Without that Redis nobody is judged; an era that is named meanwhile begins the watch anew.
func (e *Engine) sameNode(ctx context.Context, js []*control.Journal) ([]*control.Journal, error) {
	for {
		era, _ := e.State().NewestEra()
		first, known := e.counters(ctx)
		select {
		case <-time.After(2 * e.cfg.Lease):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := e.CatchUp(ctx); err != nil {
			return nil, err
		}
		second, still := e.counters(ctx)
		if !known || !still {
			slog.WarnContext(ctx, "redis cannot tell who lives, other journals are left alone", "journals", len(js))
			return nil, nil
		}
		if err := e.CatchUp(ctx); err != nil { // read to the end after the last look (F1)
			return nil, err
		}
		if newest, _ := e.State().NewestEra(); newest.Number != era.Number {
			continue // somebody lives, who may not have registered in the new era yet
		}
		return stoodStill(e.State(), js, first, second), nil
	}
}

// stoodStill gives those of js that are open still and whose counter did not move.
func stoodStill(s *control.State, js []*control.Journal, first, second map[topic.JournalID]uint64) []*control.Journal {
	var dead []*control.Journal
	for _, j := range js {
		now, known := s.Journal(j.ID)
		if first[j.ID] == second[j.ID] && known && !now.Sealed {
			dead = append(dead, now)
		}
	}
	return dead
}

// counters reads the heartbeats under the newest era. It is not ok if that era is not the one open in this Redis.
func (e *Engine) counters(ctx context.Context) (map[topic.JournalID]uint64, bool) {
	newest, ok := e.State().NewestEra()
	if !ok {
		return nil, true // nobody ever registered anywhere: nothing moves
	}
	c, err := e.meta.Counters(ctx, pinOf(newest))
	if errors.Is(err, metadata.ErrEra) && !e.isolated(ctx) {
		// A Redis that forgot: whoever lives will name a new era and register again within two leases.
		return map[topic.JournalID]uint64{}, true
	}
	return c, err == nil
}

// isolated says whether this Redis is one that only an older era names: a master that was left behind, where nobody
// beats any more (R2).
func (e *Engine) isolated(ctx context.Context) bool {
	runID, replicationID, err := e.meta.Identity(ctx)
	if err != nil {
		return true
	}
	eras := e.State().Eras()
	for i, era := range eras {
		if era.RunID == runID && era.ReplicationID == replicationID {
			newest := eras[len(eras)-1]
			return i < len(eras)-1 && (newest.RunID != runID || newest.ReplicationID != replicationID)
		}
	}
	return false
}

func pinOf(r control.Era) metadata.Pin {
	return metadata.Pin{Era: uint64(r.Number), RunID: r.RunID, ReplicationID: r.ReplicationID}
}
