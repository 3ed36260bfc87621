// Package api turns Kafka requests into calls on the engines and their answers into Kafka responses: kmsg in,
// kmsg out. It is the only place that knows Kafka's error codes and the only one below the sockets that sees
// kmsg types.
//
// There is one file per API key, named by its number (00_produce.go, 01_fetch.go ...). Each registers its versions
// and its handler in an init function; what is not registered is not advertised. A handler checks in the order of
// Kafka's own broker and has two halves:
//
//   - the handler itself runs on the connection's reader, in the order of the requests. Produce and OffsetCommit
//     admit here, so that order is kept while later requests are read;
//   - the answer it returns runs on the connection's writer, in the same order, and may block: for a slot to count,
//     for records to come, for the control log.
//
// Before kmsg decodes a request its arrays are counted (shape.go), because a decoded array takes many times the
// bytes it took on the wire.
//
// Floor 4: above the engines (agent/ingest, agent/fetch, agent/group, agent/cluster), below agent/wire. It owns no
// socket and starts no goroutine. The engines are reached through the interfaces of engines.go. The table of keys and
// the differences from Apache Kafka are in docs/protocol.md.
package api
