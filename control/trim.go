package control

import (
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Trim says that the slots of a journal below Slot live on in manifests or are not needed any more. It holds if it
// goes on from the journal's TRIM and stays within what the second newest verified checkpoint holds, so that one
// checkpoint may turn out to be damaged (G2), and within the journal.
type Trim struct {
	Journal topic.JournalID
	Slot    topic.Slot
}

func (Trim) Type() Type { return TypeTrim }

func (r Trim) String() string { return fmt.Sprintf("%s below slot %d", r.Journal, r.Slot) }

func (r Trim) encode(w *writer) {
	w.id(r.Journal)
	w.slot(r.Slot)
}

func decodeTrim(r *reader) Record { return Trim{Journal: r.id(), Slot: r.slot()} }

func (r Trim) judge(s *State) string {
	j, ok := s.journals.get(r.Journal)
	if !ok {
		return fmt.Sprintf("no journal %s", r.Journal)
	}
	c, ok := s.newestVerified(2)
	switch {
	case r.Slot <= j.Trim:
		return fmt.Sprintf("trim is %d already", j.Trim)
	case !ok:
		return "no two verified checkpoints"
	case r.Slot > c.Next(j.ID):
		return fmt.Sprintf("trim to %d, checkpoint at %d has the journal up to %d", r.Slot, c.Control, c.Next(j.ID))
	case j.Sealed && r.Slot > j.SealSlot:
		return fmt.Sprintf("trim to %d, sealed in slot %d", r.Slot, j.SealSlot)
	}
	return ""
}

func (r Trim) apply(s *State) {
	j := s.editJournal(r.Journal)
	j.Trim = r.Slot
	s.journals = s.journals.put(j.ID, j)
}
