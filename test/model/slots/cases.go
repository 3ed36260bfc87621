package slots

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

func bound(records uint8) string {
	return fmt.Sprintf("%d agents, %d slots a journal, %d in flight, %d records", agents, slots, window, records)
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	records := map[explore.Size]uint8{explore.Tiny: 1, explore.Short: 2, explore.Long: 3}[size]
	return []explore.Case{
		model(records, Rules{}, ""),
		model(2, Rules{overwrites: true}, "B1: Create overwrites what is there"),
		model(2, Rules{sealDeleted: true}, "I1: a seal is deleted while its journal's agent may live"),
		model(2, Rules{existsIsMine: true}, "S1: exists is taken for one's own success, without reading"),
		model(2, Rules{secondBody: true}, "S1: a time-out frees the number, one nonce serves the process"),
		model(2, Rules{ackAboveHole: true}, "P4: a slot that landed is acked above a hole"),
		model(2, Rules{noSeal: true}, "F2: a journal is taken over without a seal"),
		model(2, Rules{hintTrusted: true}, "F2: sealing starts where Redis says"),
		model(3, Rules{noStepBack: true}, "F2: sealing starts right above a slot that is there, not K back"),
		model(2, Rules{notJudged: true}, "S3: JOURNAL_SEALED holds though its partitions or their epochs changed"),
		model(2, Rules{leavesEarly: true}, "clean end: the own journal is sealed while slots are in flight"),
		model(2, Rules{endUnproved: true}, "O1: an owner tells the log's end without proof"),
	}
}
