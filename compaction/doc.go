// Package compaction looks after what is stored: checkpoints (G1), compaction of slots into runs (G2), TRIM, and the
// deletion of what nothing needs any more (I9, G5).
//
// A checkpoint is computed from the one before it, the control records since, and the footers of the slots since; never
// from Redis. It stands at a control number n and at one cut: per journal the first slot that is not in it. Of the slots
// that count and that others may see, those are taken, in the order of each journal, whose every extent is of a partition
// and an epoch that state n knows and begins where the checkpoint's partition ends, until nothing moves (cut.go). So index
// and producer state are contiguous, and nothing is ahead of state n. It counts once another pass has computed it too and
// read its objects back (verify.go): an agent that is not the builder, where there is one.
//
// Compaction is planned on the rows of the newest verified checkpoint (survey.go) and on the runs of the control state; a
// plan is pure (plan.go). Partitions are compacted together with those of the same owner, since their extents lie in the
// same slots. A job writes one object (merge.go) and appends MANIFEST, which names its exact inputs (manifest.go); TRIM
// follows (trim.go), and then slots and objects go, when every checkpoint that a start may begin from is behind that, and
// after a grace (garbage.go). A ledger says what was deleted (ledger.go).
//
// Whose turn it is and when is a pure function of what an agent sees (turn.go, groups.go). It decides about work only: two
// who do the same work make some garbage, and the control log keeps one of them. Whoever dies leaves nothing behind but
// objects that nothing names.
//
// Files: compaction.go (the parts, and Run); checkpoints: turn.go, build.go, cut.go, verify.go, sweep.go; compaction:
// groups.go, survey.go, plan.go, read.go, merge.go, manifest.go, trim.go; garbage: garbage.go, forget.go, ledger.go, find.go;
// cleaning by key: keys_*.go; taking records out for good: erase*.go, by a command, not by Run.
//
// Floor 3: it declares what it needs of the control log and the journals (Log), which agent joins to agent/cluster. Its
// one long goroutine is Run, started and awaited by the agent. Those that read slots or delete objects end with the call.
package compaction
