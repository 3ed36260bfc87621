// Package bill compares the cost meter with what a bucket would be billed for.
//
// A proxy stands before a real MinIO and a real versitygw and counts what arrives, kind by kind, by reading requests as they are
// on the wire. What the meter says left (odradek_meter_requests_total, odradek_meter_dollars_total) must be what arrived: of every
// call that a store has, through both clients, and of whole agents under load that make checkpoints and compact. The proxy refuses
// some requests, which the clients send again, and is slow with others, which are hedged.
//
// `odradek cluster cost` is held to the same count.
//
// It stands on no floor: it sees everything and is seen by none. The proxy's goroutines are net/http's and end with the test.
package bill
