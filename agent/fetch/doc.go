// Package fetch reads records: it knows what is visible, waits for more, finds the extents that hold an offset, and
// reads them through bounded caches.
//
//	Counted / Add ── view.go: the index in memory and with it every partition's high watermark (I4, I6)
//	Read ─ read.go: wait until there is enough, then gather whole batches, part by part
//	       store.go: an extent from the tail cache, else from the bucket in large aligned chunks, checked (C2)
//	Lookup ─ times.go: offsets by time
//
// Floor 3: an engine. It owns no goroutine. It never decides that an offset is out of range on its own: it says what
// it sees (ErrOutOfRange), and the caller asks for the owner's proof before a client hears it (I7).
package fetch
