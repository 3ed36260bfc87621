// Package wire speaks Kafka's framing on TCP: sockets, frames and the order of replies. What a frame says is the
// business of a Handler, which is agent/api's Router.
//
//	reader: frame -> Handle (admits, in order) -> queue of at most InFlight replies
//	writer: queue -> reply (may wait) -> socket, in the order of the requests
//
// So the next requests of a connection are read and admitted while earlier ones wait to be durable. A connection that
// finds no memory for its next frame, or whose queue is full, is not read until there is room: clients slow down and
// nothing grows.
//
// A frame is a length of 4 bytes, big endian, and that many bytes. It is refused, and its connection closed, when the
// length is out of bounds, when its bytes do not come, or when the handler refuses it; earlier replies still leave.
//
// Floor 5: above agent/api. Goroutines: Serve accepts; each connection has a reader and a writer; Serve starts them and
// waits for them.
package wire
