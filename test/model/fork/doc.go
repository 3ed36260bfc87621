// Package fork models a cluster that is forked (G6-G8): a fork shares the parent's objects and has a control log of its own.
// In the parent compaction, TRIM, SWEEP, log starts, checkpoints and the deletion of the topic go on meanwhile; the fork
// compacts, takes checkpoints, is forked again, or deleted; UNPIN gives objects back. A snapshot is a fork that is never born.
//
// Cut, a second and smaller model, asks which slots a fork may take when a transaction spans journals (G6, I10).
package fork
