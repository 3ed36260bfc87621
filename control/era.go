package control

import (
	"fmt"
	"math"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Era begins a new life of the Redis contents, recovered from a checkpoint (0: from the beginning of the control
// log). It holds if Number follows the newest era's (the first is 1), the identity, run id and replication id
// together, was never named before or is the newest era's, and the checkpoint is a verified one that is kept: it stays
// so while the era is the newest (I9). A Redis whose identity only an older era named is an isolated master.
type Era struct {
	Number        int32
	RunID         string
	ReplicationID string
	Checkpoint    topic.Slot // Control of the checkpoint
}

func (Era) Type() Type { return TypeEra }

func (r Era) String() string {
	return fmt.Sprintf("%d run %s replication %s checkpoint %d", r.Number, r.RunID, r.ReplicationID, r.Checkpoint)
}

func (r Era) encode(w *writer) {
	w.uint(uint64(r.Number))
	w.string(r.RunID)
	w.string(r.ReplicationID)
	w.slot(r.Checkpoint)
}

func decodeEra(r *reader) Record { return Era{r.int32(), r.string(), r.string(), r.slot()} }

// identity joins run id and replication id; the length keeps pairs apart.
func (r Era) identity() string { return fmt.Sprintf("%d:%s%s", len(r.RunID), r.RunID, r.ReplicationID) }

func (r Era) judge(s *State) string {
	newest := int32(len(s.eras))
	if r.Number-1 != newest || r.Number == math.MaxInt32 {
		return fmt.Sprintf("newest era is %d", newest)
	}
	if n, ok := s.eraOf.get(r.identity()); ok && n != newest {
		return fmt.Sprintf("era %d named this identity and is not the newest", n)
	}
	if r.Checkpoint != 0 && !s.checkpointCounts(r.Checkpoint) {
		return fmt.Sprintf("no verified checkpoint at %d", r.Checkpoint)
	}
	return ""
}

func (r Era) apply(s *State) {
	s.eras = append(slices.Clip(s.eras), r)
	s.eraOf = s.eraOf.put(r.identity(), r.Number)
	s.dropCheckpoints()
}
