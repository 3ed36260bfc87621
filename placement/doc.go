// Package placement says who should own what: rendezvous hashing of partitions and dead journals over the
// journals that could take them. Every agent that asks with the same candidates gets the same answer, without a
// word between them, and when a candidate comes or goes only its own share moves.
//
// Floor 0: pure functions, no I/O, no clock, no goroutine. It imports topic only. All functions may be called
// concurrently and keep nothing.
package placement
