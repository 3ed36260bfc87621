// Package fetch reads records: it knows what is visible, waits for more, finds the extents that hold an offset, and
// reads them through bounded caches.
//
//	Add, SetRuns ─ view.go: the index in memory and with it every partition's high watermark (I4, I6)
//	Read ─ read.go: wait until there is enough, then gather whole batches, part by part
//	       runs.go: a partition's runs in compacted objects, read ahead, and then its extents in slots
//	       store.go: an extent from the tail cache, else from the bucket, checked (C2)
//	       spans.go: what GETs brought, so that those who read side by side share it
//	ByTime, MaxTime ─ times.go: offsets by time
//
// Beside what it knows, memory is bounded by Config: the tail, half of CatchUpBytes for bytes as stored and tables of runs,
// half for extents unpacked, and as much again for GETs under way.
//
// Floor 3: an engine. It owns no goroutine. It never decides that an offset is out of range on its own: it says what
// it sees (ErrOutOfRange), and the caller asks for the owner's proof before a client hears it (I7).
package fetch
