// Package agent is a running broker: it opens every part, wires them, owns every long goroutine and the order in
// which they stop.
//
//	agent.go     Run: the devices, and one session after the other
//	session.go   one journal's life: boot, replay, serve, drain
//	replay.go    B3: what an earlier journal's WAL still holds
//	applied.go   what a control record means for the parts
//	adapt_*.go   the engines as agent/api wants to see them
//
// Floor 6. Its goroutines are listed in docs/ARCHITECTURE.md.
package agent
