// Package ops is what an operator sees of an agent: health, metrics, profiles, the log and the lines printed at
// start.
//
// Server answers /livez, /readyz and /metrics over HTTP, and /debug/pprof where that is allowed. NewLog makes the
// agent's logger. EMF prints a few metrics as lines that CloudWatch reads. Banner prints what is served, where it is
// stored and a line to try. Catalogue lists the metrics that the parts of an agent register; docs/metrics.md is written
// from it.
//
// Floor 5: it knows no part of the agent; whether that is ready says a function it is given, and metrics come from
// a registry that it is given. Server.Run owns one goroutine, the listener's, and waits for it; the connections'
// goroutines are net/http's and end with Run. EMF.Run starts none.
package ops
