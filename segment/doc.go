// Package segment is the format of what a journal's slot holds: the record batches of many partitions, one extent each,
// and a footer that says where they are.
//
// Start with format.go: it draws the bytes and names the rules. Build turns runs of batches into a payload, referencing
// the batches and not copying them; runs of uncompressed batches are packed into blocks of at most 128 KiB. ReadFooter,
// ReadTable, Block.Unpack and ReadExtent go the other way and trust nothing that they read. Describe lists an object's
// parts for people.
//
// compacted.go draws the other object that extents lie in: ObjectWriter makes what compaction puts together out of many
// slots, ReadRunTable finds a run's extents in it, and ReadExtent reads those as it does a segment's.
//
// The envelope of a slot (kind, nonce, length, checksum of all) is package slotlog's; a payload begins at the object's
// first byte, so that positions in a footer are positions in the object.
//
// Floor 0: imports topic, recordbatch and sequence, does no I/O, reads no clock, starts no goroutine. All functions may
// be called concurrently; an ObjectWriter is for one goroutine. The formats as tables: docs/format/segment.md and
// docs/format/compacted.md.
package segment
