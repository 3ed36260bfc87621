package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// replayBatch is how many entries are appended before their durability is waited for.
const replayBatch = 256

// ring is a WAL found on the disk, and whether this journal may append what it holds.
type ring struct {
	*wal.Recovered
	replay bool
}

// judge says which of the WALs found on the disk may be replayed: those of journals that this boot sealed, and of
// journals that one of those had sealed and not replayed to the end (B3). Any other journal was sealed by somebody
// else, and its partitions went on without it. The order is that in which the journals were opened.
func judge(before *control.State, opened cluster.Opened, found []*wal.Recovered) []ring {
	here := make(map[topic.Slot]topic.JournalID) // by the control number that opened them
	number := func(r *wal.Recovered) topic.Slot {
		if j, ok := before.Journal(topic.JournalID(r.Identity)); ok {
			return j.Opened
		}
		return 0
	}
	for _, r := range found {
		if n := number(r); n > 0 {
			here[n] = topic.JournalID(r.Identity)
		}
	}
	out := make([]ring, len(found))
	for i, r := range found {
		out[i] = ring{r, continued(before, opened, here, topic.JournalID(r.Identity))}
	}
	slices.SortStableFunc(out, func(a, b ring) int { return cmp.Compare(number(a.Recovered), number(b.Recovered)) })
	return out
}

// continued says whether what a journal owned went, from journal to journal on this disk only, to the one just opened.
func continued(before *control.State, opened cluster.Opened, here map[topic.Slot]topic.JournalID, id topic.JournalID) bool {
	for range len(here) + 1 {
		if slices.Contains(opened.Sealed, id) {
			return true
		}
		j, ok := before.Journal(id)
		if !ok || !j.Sealed {
			return false
		}
		if id, ok = here[j.SealedAt]; !ok {
			return false
		}
	}
	return false
}

// replay appends what earlier WALs hold above the sealed ends, and then deletes or quarantines them.
func (s *session) replay(ctx context.Context, rings []ring) error {
	for _, r := range rings {
		if !r.replay {
			s.setAside(ctx, r.Recovered)
			continue
		}
		stranded, err := s.replayRing(ctx, r.Recovered)
		if err != nil {
			return fmt.Errorf("replay wal of journal %s: %w", r.Identity, err)
		}
		if stranded > 0 || r.Err != nil {
			s.quarantine(ctx, r.Recovered, "entries that this agent may not append", stranded)
			continue
		}
		if err := s.agent.disk.Remove(r.Identity); err != nil {
			slog.WarnContext(ctx, "replayed wal not removed, it is harmless", "journal", r.Identity, "error", err)
		}
	}
	return nil
}

// setAside deals with a WAL that may not be replayed. One that holds nothing but what counts goes; so does one whose
// journal was never opened, for nobody was acked by it.
func (s *session) setAside(ctx context.Context, r *wal.Recovered) {
	_, opened := s.cluster.State().Journal(topic.JournalID(r.Identity))
	missing, readable := 0, r.Err == nil
	if opened && readable {
		missing, readable = s.missing(r)
	}
	if !opened || missing == 0 && readable {
		if err := s.agent.disk.Remove(r.Identity); err != nil {
			slog.WarnContext(ctx, "empty wal not removed", "journal", r.Identity, "error", err)
		}
		return
	}
	s.quarantine(ctx, r, "the journal was sealed by another agent", missing)
}

// missing counts the entries of a WAL that the log does not have, if all of them can be read.
func (s *session) missing(r *wal.Recovered) (n int, readable bool) {
	state := s.cluster.State()
	for e, err := range r.Entries() {
		if err != nil {
			return n, false
		}
		l, err := ingest.ReadLogged(e.Payload)
		if err != nil {
			return n, false
		}
		if lacks(state, l) {
			n++
		}
	}
	return n, true
}

func (s *session) quarantine(ctx context.Context, r *wal.Recovered, why string, entries int) {
	path, err := s.agent.disk.Quarantine(r.Identity)
	s.agent.metrics.quarantined.Inc()
	slog.ErrorContext(ctx, "wal quarantined: it may hold records acked with acks=1 that are not in the log",
		"journal", r.Identity, "why", why, "entries", entries, "path", path, "error", err, "read_error", r.Err)
}

// lacks says whether the log does not have an entry that could not be appended. What was logged under an epoch is in the
// log up to where that epoch ended: so is all that the journal took before it gave a partition away (M1).
func lacks(state *control.State, l ingest.Logged) bool {
	if _, ok := state.TopicByID(l.Partition.Topic); !ok {
		return false // deleted
	}
	for _, a := range state.Assignments(l.Partition) {
		if a.Epoch == l.Epoch {
			return a.End == control.EndOpen || l.Next > a.End
		}
	}
	return true // nothing that was written under that epoch counts
}

// replayRing appends one WAL's entries and waits until they are safe under this journal. It returns how many could not
// be appended although their topic exists.
func (s *session) replayRing(ctx context.Context, r *wal.Recovered) (stranded int, err error) {
	began, appended := time.Now(), 0
	var waiting []ingest.Pending
	for e, err := range r.Entries() {
		if err != nil {
			return stranded, err
		}
		l, err := ingest.ReadLogged(slices.Clone(e.Payload))
		if err != nil {
			return stranded, fmt.Errorf("%s at %d: %w", e.File, e.Offset, err)
		}
		what, pending, err := s.ingest.Replay(ctx, l)
		if err != nil {
			return stranded, err
		}
		switch what {
		case ingest.Appended:
			appended++
			waiting = append(waiting, pending)
		case ingest.Stranded:
			if lacks(s.cluster.State(), l) {
				stranded++
			}
		}
		if len(waiting) == replayBatch {
			if err := ingest.Synced(ctx, waiting); err != nil {
				return stranded, err
			}
			waiting = waiting[:0]
		}
	}
	s.agent.metrics.replayed.Add(float64(appended))
	if appended+stranded > 0 {
		slog.InfoContext(ctx, "wal replayed", "journal", r.Identity, "appended", appended, "stranded", stranded,
			"seconds", time.Since(began).Seconds())
	}
	return stranded, ingest.Synced(ctx, waiting)
}
