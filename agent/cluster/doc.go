// Package cluster keeps an agent's picture of the cluster and its place in it: it follows the control log and appends
// to it, opens the agent's journal and takes over those before it, and keeps the copy of the index in Redis.
//
//	boot.go      B2-B4: read the control log, seal what this agent replaces, open the journal
//	log.go       the footers of the journals, which are what the log is: read in order, for boot and for recovery
//	control.go   S4, S6: apply, propose, follow
//	effects.go   what control records mean for the index
//	indexer.go   P6: counted slots into the index, in order, off the ack path
//	era.go       R1-R4: pin the era, or build the next one from the bucket
//	admin.go     topics, partitions, settings, producer ids, as control records
//
// Floor 3: an engine. It decides nothing from Redis that must be right: control state and footers come from the bucket.
// Long goroutines: Follow, Index and Beat, started by the agent.
package cluster
