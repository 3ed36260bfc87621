package control

import (
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// CheckpointID tells apart checkpoints that were planned at one control number.
type CheckpointID [16]byte

func (id CheckpointID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is that of no checkpoint.
func (id CheckpointID) IsZero() bool { return id == CheckpointID{} }

// JournalNext is how much of a journal a checkpoint holds: every slot below Next.
type JournalNext struct {
	Journal topic.JournalID
	Next    topic.Slot
}

// Checkpoint says that the checkpoint ID was written, which stands at control number Control and holds the slots
// below Next of every journal. It holds if Control is below its own number and above that of every checkpoint in the
// state and not below what was swept, Previous is the newest verified one, and every journal that it names was open at Control and got further than
// in Previous. It counts once a VERIFIED follows (G1).
type Checkpoint struct {
	Control  topic.Slot
	ID       CheckpointID
	Previous topic.Slot    // Control of the newest verified checkpoint when it was planned; 0 is none
	Journals []JournalNext // by journal id, only those whose Next is above the one in Previous
}

func (Checkpoint) Type() Type { return TypeCheckpoint }

func (r Checkpoint) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %d id %s previous %d", r.Control, r.ID, r.Previous)
	for _, j := range r.Journals {
		fmt.Fprintf(&b, " %s<%d", j.Journal, j.Next)
	}
	return b.String()
}

func (r Checkpoint) encode(w *writer) {
	w.slot(r.Control)
	w.id(r.ID)
	w.slot(r.Previous)
	w.uint(uint64(len(r.Journals)))
	for _, j := range r.Journals {
		w.id(j.Journal)
		w.slot(j.Next)
	}
}

func decodeCheckpoint(r *reader) Record {
	rec := Checkpoint{Control: r.slot(), ID: r.id(), Previous: r.slot()}
	for range r.each(17) {
		rec.Journals = append(rec.Journals, JournalNext{r.id(), r.slot()})
	}
	return rec
}

func (r Checkpoint) judge(s *State) string {
	switch {
	case r.ID.IsZero() || r.Control == 0:
		return "checkpoint without id or control number"
	case r.Control >= s.next:
		return fmt.Sprintf("checkpoint at %d, which is not applied yet", r.Control)
	case r.Control < s.swept: // it may name compacted objects that are deleted by now (G5)
		return fmt.Sprintf("checkpoint at %d, swept below %d", r.Control, s.swept)
	}
	for _, c := range s.checkpoints {
		switch {
		case c.Control >= r.Control:
			return fmt.Sprintf("there is a checkpoint at %d", c.Control)
		case c.ID == r.ID:
			return fmt.Sprintf("checkpoint id %s was given before", r.ID)
		}
	}
	previous, _ := s.NewestCheckpoint()
	if previous.Control != r.Previous {
		return fmt.Sprintf("newest verified checkpoint is at %d, not %d", previous.Control, r.Previous)
	}
	for i, j := range r.Journals {
		if i > 0 && compareJournals(r.Journals[i-1].Journal, j.Journal) >= 0 {
			return fmt.Sprintf("journal %s out of order", j.Journal)
		}
		if why := s.judgeNext(r.Control, previous, j); why != "" {
			return why
		}
	}
	return ""
}

// judgeNext says why a checkpoint at control number n, computed from previous, cannot hold the journal up to Next.
func (s *State) judgeNext(n topic.Slot, previous CheckpointInfo, next JournalNext) string {
	j, ok := s.journals.get(next.Journal)
	had := previous.Next(next.Journal)
	switch {
	case !ok:
		return fmt.Sprintf("no journal %s", next.Journal)
	case j.Opened > n:
		return fmt.Sprintf("journal %s was opened at %d, checkpoint stands at %d", j.ID, j.Opened, n)
	case next.Next <= had:
		return fmt.Sprintf("journal %s up to %d, previous checkpoint has it up to %d", j.ID, next.Next, had)
	case next.Next <= j.Trim:
		return fmt.Sprintf("journal %s up to %d, trim is %d", j.ID, next.Next, j.Trim)
	case j.Sealed && next.Next > j.SealSlot:
		return fmt.Sprintf("journal %s up to %d, sealed in slot %d", j.ID, next.Next, j.SealSlot)
	}
	return ""
}

func (r Checkpoint) apply(s *State) {
	previous, ok := s.NewestCheckpoint()
	c := CheckpointInfo{Control: r.Control, ID: r.ID, Previous: r.Previous, At: s.next, journals: previous.journals}
	if !ok {
		c.journals = newCheckpointJournals()
	}
	for _, j := range r.Journals {
		c.journals = c.journals.put(j.Journal, j.Next)
	}
	s.checkpoints = append(slices.Clip(s.checkpoints), c)
	s.dropCheckpoints()
}

// Verified says that By computed a checkpoint a second time and read its objects back: from here on it counts. It
// holds if the checkpoint is the newest of the state and is not verified yet: one that a newer one followed is not in
// the state any more.
type Verified struct {
	Control topic.Slot
	ID      CheckpointID
	By      topic.JournalID // of the agent that did it, for people
}

func (Verified) Type() Type { return TypeVerified }

func (r Verified) String() string { return fmt.Sprintf("at %d id %s by %s", r.Control, r.ID, r.By) }

func (r Verified) encode(w *writer) {
	w.slot(r.Control)
	w.id(r.ID)
	w.id(r.By)
}

func decodeVerified(r *reader) Record {
	return Verified{Control: r.slot(), ID: r.id(), By: r.id()}
}

func (r Verified) judge(s *State) string {
	i := slices.IndexFunc(s.checkpoints, func(c CheckpointInfo) bool { return c.Control == r.Control && c.ID == r.ID })
	switch {
	case i < 0:
		return fmt.Sprintf("no checkpoint at %d with id %s", r.Control, r.ID)
	case s.checkpoints[i].Verified:
		return fmt.Sprintf("checkpoint at %d was verified before", r.Control)
	}
	return ""
}

func (r Verified) apply(s *State) {
	s.checkpoints = slices.Clone(s.checkpoints)
	newest := &s.checkpoints[len(s.checkpoints)-1]
	newest.Verified, newest.By = true, r.By
	s.dropCheckpoints()
}

// CheckpointInfo is one checkpoint of a State; like it, it never changes.
type CheckpointInfo struct {
	Control  topic.Slot // it stands at this control number: that one is in it
	ID       CheckpointID
	Previous topic.Slot // Control of the verified checkpoint that it was computed from; 0 is none
	At       topic.Slot // control number of its CHECKPOINT
	Verified bool
	By       topic.JournalID // who verified it

	journals tree[topic.JournalID, topic.Slot] // Next of those that the checkpoint holds something of; above 0
}

func newCheckpointJournals() tree[topic.JournalID, topic.Slot] {
	return newTree[topic.JournalID, topic.Slot](compareJournals)
}

// Next is the first slot of a journal that is not in the checkpoint, 0 if it holds nothing of the journal.
func (c CheckpointInfo) Next(id topic.JournalID) topic.Slot {
	next, _ := c.journals.get(id)
	return next
}

// Journals walks the journals that the checkpoint holds something of, by id, with their Next.
func (c CheckpointInfo) Journals() iter.Seq2[topic.JournalID, topic.Slot] { return c.journals.all() }

// Checkpoints lists the checkpoints that are kept, oldest first: the one that the newest era was recovered from, the
// two newest verified ones and, last, one that is not verified yet.
func (s *State) Checkpoints() []CheckpointInfo { return slices.Clip(s.checkpoints) }

// NewestCheckpoint gives the newest checkpoint that is verified, if there is one.
func (s *State) NewestCheckpoint() (CheckpointInfo, bool) { return s.newestVerified(1) }

// newestVerified gives the rank-th newest checkpoint that is verified, rank 1 being the newest.
func (s *State) newestVerified(rank int) (CheckpointInfo, bool) {
	for _, c := range slices.Backward(s.checkpoints) {
		if c.Verified {
			if rank--; rank == 0 {
				return c, true
			}
		}
	}
	return CheckpointInfo{}, false
}

// checkpointCounts reports whether a verified checkpoint that stands at control number n is kept.
func (s *State) checkpointCounts(n topic.Slot) bool {
	return slices.ContainsFunc(s.checkpoints, func(c CheckpointInfo) bool { return c.Verified && c.Control == n })
}

// maxCheckpoints is how many dropCheckpoints leaves at most: the era's, two verified ones, one that is not.
const maxCheckpoints = 4

// dropCheckpoints forgets the checkpoints that nothing can need any more, so that the list stays short for ever. One
// that was not verified when the next one came never will be.
func (s *State) dropCheckpoints() {
	era, _ := s.NewestEra()
	var kept []CheckpointInfo
	verified := 0
	for i, c := range slices.Backward(s.checkpoints) {
		if c.Verified {
			verified++
		}
		if i == len(s.checkpoints)-1 || c.Verified && (verified <= 2 || c.Control == era.Checkpoint) {
			kept = append(kept, c)
		}
	}
	slices.Reverse(kept)
	s.checkpoints = kept
}
