package verify

import (
	"fmt"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// released is a RELEASE: under an epoch a partition ends, in a slot of its owner's journal.
type released struct {
	partition topic.Partition
	epoch     topic.Epoch
	end       topic.Offset
	slot      topic.Slot
}

// moved is an ASSIGN that holds.
type moved struct {
	released
	number topic.Slot
	from   topic.JournalID // whose journal has the RELEASE
}

// takeMove remembers an ASSIGN that holds, until its owner's journal is walked.
func (w *walk) takeMove(n Number, r control.Assign) {
	if before, ok := n.Before.Owner(r.Partition); ok && before.Epoch == r.OldEpoch {
		w.moves = append(w.moves, moved{released{r.Partition, r.OldEpoch, r.Base, r.Released}, n.N, before.Journal})
	}
}

// checkMoves checks that each ASSIGN rests on a RELEASE that counts (M1): without one the owner may have gone on.
func (w *walk) checkMoves() {
	for _, m := range w.moves {
		t, exists := w.now.TopicByID(m.partition.Topic)
		j := w.journals[m.from]
		if !exists || j == nil || j.lost > 0 || m.slot < j.Trim {
			continue
		}
		if from, ok := w.releases[m.released]; !ok || from != m.from {
			w.find(slotlog.ControlKey(m.number), "%s moves at epoch %d from %d on, but %s holds no such RELEASE",
				fmt.Sprintf("%s/%d", t.Name, m.partition.Index), m.epoch, m.end, slotlog.JournalKey(m.from, m.slot))
		}
	}
}
