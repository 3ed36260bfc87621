// Package topic holds the nouns that every other package speaks in: topic ids, partitions, offsets, epochs,
// journals and slots, and the table of topic settings.
//
// Floor 0, the ground of the ground floor: it imports nothing of Odradek, does no I/O, reads no clock and starts
// no goroutine. All types are small values that may be copied and compared.
package topic
