// Package verify walks a bucket offline: the control log, every journal from its TRIM to its seal, every checksum
// on the way, and every invariant that can be told from the bucket alone. It gives a Report of what is stored and of
// what is wrong.
//
// Slots below TRIM are not read: what they held must lie in runs, below the log start, or be of deleted topics (I2). Every
// object that the bucket lists is accounted for in one class.
//
// It trusts nothing but the bucket: no Redis, no WAL, no running agent. It takes no lock and writes nothing, so it may
// run beside an agent; a journal that is open has an open tail then, and what lies behind its first hole may be on its way.
//
//   - list.go: what the bucket lists. A hint, used for what lies behind an end, never for what counts.
//   - control.go: the control log by number, decoded and applied; void records with the reason.
//   - slot.go: one object of a journal, read and checked by itself, sixteen at a time.
//   - journal.go: one journal: no slot is missing below its end, the seal is where JOURNAL_SEALED says (I1, I2).
//   - partition.go: a partition's extents follow one another through its epochs (I3), and so do its producers'
//     sequences (I8, producers.go).
//   - summary.go: what a footer repeats of those before it is what they said.
//   - compacted.go: compacted objects that have current runs: every block and batch, what the control log says of their
//     runs, that they hold what slots do that are still there (I5), and that nothing is gone that a checkpoint needs (I9).
//   - checkpoints.go: checkpoints that count are what the control log and the slots below their cut make (G1).
//
// Floor 3: imports slotlog, checkpoint, control, segment, index, sequence, recordbatch and objectstore. Run starts goroutines that read and
// waits for them; all that they find is put together by the goroutine of Run. Memory is bounded by
// Options.MemoryBytes for objects in flight, and by a few words per slot listed, partition, epoch and producer.
package verify
