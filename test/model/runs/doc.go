// Package runs models the objects that compaction makes: two compactors that plan, crash and race (G2, S3), MANIFEST with
// exact inputs, key compaction, log starts, TOPIC_DELETE, SWEEP (G5), deletion by what the oldest kept checkpoint says (I9),
// and a reader whose plan is old (C2).
//
// The slots are all there, count, and lie below the newest checkpoint: when they go is in package trim. Whoever begins
// from a checkpoint reads the control log to its end; I9 is asked of what the checkpoint itself names all the same.
package runs
