// Package cluster keeps an agent's picture of the cluster and its place in it: it follows the control log and appends
// to it, opens the agent's journal and takes over those before it, and keeps the copy of the index in Redis.
//
//	boot.go      B2-B4: read the control log, seal what this agent replaces, open the journal
//	log.go       the footers of the journals, which are what the log is: read in order, for boot and for recovery
//	control.go   S4, S6: apply, propose, follow
//	effects.go   what control records mean for the index
//	indexer.go   P6: counted slots into the index, in order, off the ack path; indexer_beat.go: the heartbeat beside it
//	era.go       R1-R4: pin the era, enter the one that another agent builds, or build the next one from the bucket
//	mirror.go    the index in memory follows the journals of others, by Redis and by the footers of sealed ones
//	gain.go      F5: what a partition is taken over with
//	watch.go     F1: who is dead, by the heartbeats
//	takeover.go  F2-F4: seal a journal, spread its partitions over those that live
//	leave.go     the clean end of the own journal; assignments for planned moves (M1)
//	admin.go     topics, partitions, settings, producer ids, as control records
//
// Floor 3: an engine. It decides nothing from Redis that must be right: control state and footers come from the bucket.
// Long goroutines: Follow, Index (and the heartbeat inside it), Mirror and Watch (and a takeover of each dead journal
// inside it), started by the agent.
package cluster
