// Command peer sends the same requests to Apache Kafka and to Odradek and compares the answers field by field.
//
// A scenario is a row of requests. It runs against either broker with its own connections, topics and groups, and what
// is answered becomes a transcript: one line per field, with what must differ (ids, ports, times) made alike by
// transcript.go and batches.go. Two transcripts that differ on a line that intended.go does not list make the command
// fail, and so does a row of intended.go that nothing differs on any more.
//
// It is no test of its own accord: the peer is a Java process that somebody starts, see README.md. Everything runs on
// the goroutine of main; a request that waits in a broker (JoinGroup) is left unread on its connection meanwhile.
package main
