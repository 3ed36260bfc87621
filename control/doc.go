// Package control holds the records of the control log, their encoding, and Apply: what the cluster is, computed
// from the records in their order and from nothing else.
//
// The payload of control/<n> is a batch of records (Encode, Decode; the format is docs/format/control.md).
// Control state is a pure function of those batches. Every record names what it was decided on and is void, for
// every reader alike, if that no longer holds: whoever loses the race for a number applies the winner's batch and
// asks Judge whether the own record still stands.
//
// Because all builds must judge alike for ever, Apply checks only what protects the state itself: that names and
// ids are unique, epochs follow each other, journals are open. Whether a topic's name or a setting makes sense is
// for the proposer to check, before the record is written.
//
// A State never changes. Apply returns the next one, which shares with the old one all that the records did not
// touch (persistent balanced trees), so applying costs in proportion to the change; any number of goroutines may
// read any State without a lock, typically the newest one behind an atomic.Pointer.
//
// A checkpoint carries a State as the bytes of AppendSnapshot, which Restore reads (docs/format/control-state.md):
// whoever has them needs only the batches that follow. They are the same wherever the same batches were applied.
//
// Floor 0: no I/O, no clock, no goroutine. It imports topic only.
package control
