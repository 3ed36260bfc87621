// Package offsetsrecord turns what a group coordinator must remember into Kafka's own records of the topic
// __consumer_offsets, and back, so that tools which read that topic themselves (Burrow) work here.
//
//	key   | int16 0 or 1 | group | topic | partition      committed offset; written with version 1
//	value | int16 0 to 4 | offset | leader epoch ...      written with version 3, with 1 when the commit asked for its
//	      |                                               own retention (an expiry time); a null value deletes
//	key   | int16 2      | group                          group metadata
//	value | int16 0 to 4 | protocol type | generation ... written with version 3; a null value deletes
//
// Keys of other versions belong to the newer kinds of groups; Decode answers ErrUnknownKey for them and a reader skips
// the record. The schemas are Apache Kafka's OffsetCommitKey/Value.json and GroupMetadataKey/Value.json.
//
// Floor 3, part of agent/group. It is the one place below agent/api that uses kmsg, because kmsg has these four types
// exactly; nothing it exports shows them. Pure functions: no I/O, no clock, no goroutine.
package offsetsrecord
