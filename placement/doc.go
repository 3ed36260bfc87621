// Package placement says who should own what. Every agent that asks with the same arguments gets the same answer,
// without a word between them.
//
//   - Spread finds owners for partitions that have none: those of a new topic, those of a dead journal.
//   - Balance lists the moves that even out what journals own, of each topic and in all, and empty those that drain.
//     Every owner asks it about the whole cluster and carries out the moves of its own partitions; it need not know how
//     far others are.
//   - Owner and Rank are rendezvous hashing over the journals that could take something: when a candidate comes or
//     goes only its own share changes. Rank is the order in which agents try to take over a dead journal.
//
// All count partitions, whatever their traffic. Shares go by the weights of agents, so those of zones by the weights of
// their agents together; each topic is spread over zones as over agents.
//
// Floor 0: pure functions, no I/O, no clock, no goroutine. It imports topic only. All functions may be called
// concurrently and keep nothing.
package placement
