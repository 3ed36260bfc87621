package control

import (
	"fmt"
	"math"

	"github.com/odradek/odradek/topic"
)

// ProducerIDs gives the producer ids [From, From+Count) to the agent of a journal. It holds if From is the next
// free one and the journal is open.
type ProducerIDs struct {
	From    int64
	Count   int32
	Journal topic.JournalID
}

func (ProducerIDs) Type() Type { return TypeProducerIDs }

func (r ProducerIDs) String() string {
	return fmt.Sprintf("[%d,%d) to %s", r.From, r.From+int64(r.Count), r.Journal)
}

func (r ProducerIDs) encode(w *writer) {
	w.uint(uint64(r.From))
	w.uint(uint64(r.Count))
	w.id(r.Journal)
}

func decodeProducerIDs(r *reader) Record { return ProducerIDs{r.int64(), r.int32(), r.id()} }

func (r ProducerIDs) judge(s *State) string {
	switch {
	case r.From != s.nextProducerID:
		return fmt.Sprintf("next free is %d, not %d", s.nextProducerID, r.From)
	case r.Count < 1 || r.From > math.MaxInt64-int64(r.Count):
		return fmt.Sprintf("%d producer ids", r.Count)
	}
	return s.judgeOpen(r.Journal)
}

func (r ProducerIDs) apply(s *State) { s.nextProducerID = r.From + int64(r.Count) }
