package objectstore

import "context"

// Reason says what a request to a bucket is for: in metrics and in what it costs.
type Reason string

// The reasons. What is said of the key wins over what is said of the caller: whoever touches the control log touches it
// for ReasonControl, but at a start.
const (
	ReasonProduce    Reason = "produce"    // slots of the own journal: what producers wait for
	ReasonFetch      Reason = "fetch"      // records for consumers
	ReasonControl    Reason = "control"    // the control log, followed and appended to
	ReasonProof      Reason = "proof"      // is the own journal unsealed (O1)
	ReasonIndex      Reason = "index"      // footers read back for the index, here and in Redis
	ReasonRecovery   Reason = "recovery"   // starts, takeovers, partitions that are gained
	ReasonGroup      Reason = "group"      // the log of groups, read as they are loaded
	ReasonCheckpoint Reason = "checkpoint" // checkpoints made and verified
	ReasonCompaction Reason = "compaction" // slots and runs made into larger objects
	ReasonGarbage    Reason = "garbage"    // looking for what nothing needs, and deleting it
	ReasonRetention  Reason = "retention"  // how old records are
	ReasonProbe      Reason = "probe"      // does the bucket keep its promise
	ReasonOther      Reason = "other"      // nobody said
)

// Reasons lists every reason.
var Reasons = []Reason{
	ReasonProduce, ReasonFetch, ReasonControl, ReasonProof, ReasonIndex, ReasonRecovery, ReasonGroup, ReasonCheckpoint,
	ReasonCompaction, ReasonGarbage, ReasonRetention, ReasonProbe, ReasonOther,
}

type reasonKey struct{}

// Because makes requests below ctx count for a reason.
func Because(ctx context.Context, r Reason) context.Context {
	return context.WithValue(ctx, reasonKey{}, r)
}

// ReasonOf returns the reason that Because put into ctx last.
func ReasonOf(ctx context.Context) (Reason, bool) {
	r, ok := ctx.Value(reasonKey{}).(Reason)
	return r, ok
}
