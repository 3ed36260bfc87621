// Package group is the coordinator of Kafka's classic consumer groups: who is in a group, at which generation, with
// which assignment, and which offsets it has committed.
//
// It has two parts. Machine is pure: requests, timers and "these records count" go in; replies, records and timers
// come out. Its files (machine, join, rebalance, sync, heartbeat, leave, offsets, retention, admin, replay and the
// nouns group, member, state) read no clock and do no I/O, and the scripts in testdata replay them. Coordinator is the
// shell around it: for each partition of __consumer_offsets that the agent owns there is one Machine, one queue and
// one goroutine.
//
// The truth is the partition (T1). A generation's members and assignment are written before SyncGroup answers; an
// OffsetCommit is answered when its record counts, without a record when it changes nothing (T2). What rests on memory
// and makes a client act is answered only after the owner's proof (O1); heartbeats of a stable group need none (O2).
// Members and generations are admitted state; committed offsets are read from what counts. When the log fails,
// everything not counted is thrown away with the rest and the partition is read again.
//
// A commit is admitted when Commit returns, so commits of a connection keep their order; Pending.Wait waits for it and
// blocks nobody else.
//
// Floor 3: above topic; the log is an interface declared here. Goroutines: Load starts one for each partition and
// Unload waits for it; while records are under way it has a second one that waits for them. Run unloads everything at
// the end. All caps are in Config and life.go. The records are those of offsetsrecord.
package group
