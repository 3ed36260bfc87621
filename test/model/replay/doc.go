// Package replay models what becomes of the WAL after a crash (B3): an agent that starts on the disk of an earlier one
// seals that one's journal, takes its partition over in the record that opens its own, and appends what the WAL holds
// above the sealed end; if somebody else took over, the WAL is put aside. All records are acks=1: acked by the WAL.
//
// Record n belongs at offset n. PUTs of dead processes land late. Sealing is one step (package slots).
package replay
