// Package sequence is the state of idempotent producers in one partition: which producer ids wrote there, with which
// producer epoch, and their last five batches.
//
// It is a function of the log (I8): a State is made by applying the Deltas of the partition's batches in offset order,
// as the footers of the segments list them, and by nothing else. The owner of a partition keeps two of them, one for
// what it has admitted and one for what counts; both start as Clones of one State.
//
// The rules are those of Apache Kafka 4 (ProducerStateManager, ProducerAppendInfo, KIP-98, KIP-360):
//
//   - a batch whose producer, producer epoch, first and last sequence are those of one of the last five batches is a
//     duplicate and answered with the offset and timestamp of the first writing;
//   - an older producer epoch is refused: ErrInvalidProducerEpoch;
//   - a newer producer epoch must start with sequence 0: ErrOutOfOrderSequence otherwise;
//   - under the same producer epoch sequences follow one another without a gap, from 2^31-1 to 0;
//   - a producer id of which nothing is known may start with any sequence: its records may have been deleted.
//
// Floor 0: imports topic only, does no I/O, reads no clock, starts no goroutine. A State belongs to one goroutine at a
// time.
package sequence
