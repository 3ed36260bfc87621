// Package wal keeps an agent's write-ahead log: a ring of preallocated, reused files of opaque entries on the
// local disk, with group fsync, and the reading back of what earlier lives of the agent left there.
//
// Floor 1, a device: it does I/O on one directory and knows nothing of batches, journals or buckets. An entry is a
// list of byte slices; an identity (16 bytes, the journal's id) keeps the rings of different journals apart.
//
//	Append ──> queue ──> writer: few pwritev calls ──> file of the ring     Synced ──> syncer: one fdatasync
//	                                                        ^                          for all who wait
//	Release(pos): "up to here it counts in the bucket" ─────┘ files wholly below are used again
//
// Overwriting a file whose blocks are allocated and written is what makes this cheap: neither size nor block map
// changes, so an fdatasync has no metadata to commit. Nothing is fsynced while nobody waits for it.
//
// Goroutines: none is started by OpenDirectory or Open. WAL.Run is the writer; it starts the syncer and waits
// for it. All methods of WAL may be called concurrently; the mutex is never held during I/O.
//
// What a crash leaves: every entry names its own position in the ring's endless address space, the end of the
// entry before it, and the range that was durable when it was written. So stale bytes of a file's earlier use never
// pass for an entry, a tail torn by the crash ends the log silently, and a hole in what was once durable is reported
// as corruption. The bytes are described in format.go and docs/format/wal.md.
package wal
