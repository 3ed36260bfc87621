// Package eras models the index in Redis: how it is written (P6), read (C1), lost and built again (R1-R4), while owners go
// on acking, agents die half way, a partition moves, and checkpoints are taken. Redis may be flushed, go back to an
// earlier state, fail over and leave the old master behind with one agent, or be out of reach. What must hold is that no
// index ever names what does not count (I6), that what readers are told does not go back (I7), and that from everywhere
// there is a way to an index that holds all that counts.
//
// Each agent writes one journal; a record is a slot; a RELEASE takes a slot of its own. Sealing is one step (package
// slots) and so is JOURNAL_SEALED (package moves). Time is an oracle: a heartbeat reaches whoever speaks to the same
// Redis, and agents that see a failover append ERA before the lease of one that does not is over (R1).
package eras
