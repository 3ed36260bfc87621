// Package trim models when slots of a journal may go: log starts (G3), checkpoints that are written, verified and damaged
// (G1), MANIFEST and TRIM (G2), deletion by what the oldest checkpoint needed says (I9), against a takeover of that very
// journal (F2, F4, S3), an heir who gains its partition (F5), and a Redis that is lost and built again from a checkpoint
// (R2, R3).
//
// One journal, one partition, a record or a log start in a slot, all of one idempotent producer. Runs are always there:
// what happens to them is in package runs. Of the two checkpoints that are kept one at least can be read.
package trim
