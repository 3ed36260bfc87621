// Package chaos breaks an agent from inside: the process ends at a named point, its wall clock jumps, its disk fails. It is in
// no binary but one built with the tag chaos (agent/chaos_on.go joins it), which `go run ./test/chaos` builds and drives.
//
// Nothing of the product knows of it. What the protocol does to the world goes through three interfaces, and an arrow of the
// protocol is one call of theirs: Injector stands before the bucket (objectstore.Store), before Redis (metadata.Store) and
// before the disk of the WAL (wal.Disk), looks at what passes (points.go) and ends the process by SIGKILL before such a call
// is made, or after it took effect and before its caller hears of it. The wall clock is that of the time package itself: a
// binary built with the overlay of test/harness adds a shift to every time.Now of the process, its libraries included; the
// monotonic clock does not move.
//
// Orders come over the agent's HTTP side (http.go); the environment variable CHAOS_CRASH arms a point for the start. What was
// done is a log line, a counter odradek_chaos_faults_total and a part of the answer to GET /chaos/.
//
// Floor 5. No goroutine of its own. Injector is safe for concurrent use.
package chaos
