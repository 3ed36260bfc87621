// Package compaction makes what keeps a long log cheap. Today that is checkpoints (G1) and the sweep of their objects.
//
// A checkpoint is computed from the one before it, the control records since, and the footers of the slots since; never
// from Redis. It stands at a control number n and at one cut: per journal the first slot that is not in it. Of the slots
// that count and that others may see, those are taken, in the order of each journal, whose every extent is of a partition
// and an epoch that state n knows and begins where the checkpoint's partition ends, until nothing moves (cut.go). So index
// and producer state are contiguous, and nothing is ahead of state n.
//
// It counts once another pass has computed it too and read its objects back (verify.go): an agent that is not the builder,
// where there is one. Whose turn it is and when is a pure function of what an agent sees (turn.go). It decides about work
// only: two who do the same work make some garbage, and the control log keeps one of them.
//
// Files: compaction.go (the parts, and Run), turn.go, build.go, cut.go, verify.go, sweep.go.
//
// Floor 3: it declares what it needs of the control log and the journals (Log), which agent joins to agent/cluster. Its
// one long goroutine is Run, started and awaited by the agent.
package compaction
