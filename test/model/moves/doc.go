// Package moves models how partitions go from journal to journal: M1 and P5 (RELEASE, then ASSIGN), F4 (JOURNAL_SEALED),
// F5 (what a new owner loads), S3 (which of two records for one epoch is void), I8. Two partitions share journals, may
// cross each other's way, and may come back to a journal that had them. Each has an idempotent producer that keeps two
// requests under way, repeats them at any agent, and whose old requests may arrive late.
//
// Every owner moves what it likes, when it likes, to whom it likes: there is no lock and no leader for it. As in package
// slots no agent need ever act, so that the dead, the paused and the slow are the same. Sealing is one step here: what it
// takes is in package slots.
//
// A record's value is its sequence number. As each partition has one producer, record n belongs at offset n.
package moves
