// Package trim models what deletes: checkpoints (G1), compaction's MANIFEST and TRIM (G2), the sweep (G5), against a
// takeover of the journal that is being trimmed (F2, S3) and a Redis that forgets. One journal, one record a slot, of one
// idempotent producer.
//
// Formats reserve these records, and nothing writes them yet; the model is here because F2 and JOURNAL_SEALED name TRIM.
package trim
