// Package ingest is the owner's side of Produce: it admits record batches, keeps them in the WAL and in memory, freezes
// them into segments, and acks them when their slot counts.
//
//	Append ── admit.go: check, sequence, offset, WAL ──> open buffer (buffer.go)
//	Run    ── freeze.go: when the PUT budget says so, a buffer becomes a segment in the journal's next slot
//	Counted ─ ack.go: the slot counts: index, high watermark, producer state, acks, WAL room
//	Raise ─── start.go: a log start goes up with a slot
//	Release ─ release.go: a partition is given away; Close: nothing more is admitted
//
// All state belongs to one Journal value. When the journal is fenced the value is thrown away whole, its waiters get
// ErrFenced, and the agent opens a new one; nothing is carried over (rule P5).
//
// Floor 3: an engine. It uses recordbatch, sequence, segment, slotlog and wal, and knows neither Kafka's requests nor
// the index in Redis; what follows a counted slot is the Tail that the agent passes in. Long goroutines: Journal.Run
// (freezing) and slotlog's Writer.Run, which calls Counted; the agent starts both and waits for them.
package ingest
