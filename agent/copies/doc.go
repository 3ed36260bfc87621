// Package copies keeps the live copies in Redis: of groups and committed offsets, made from the partitions of the
// offsets topic that this agent coordinates, and of the producer state of the partitions that it owns (T1, F5).
//
// A copy is never the truth and nothing is answered because of it. It is made from records that count, says the offset
// that it stands at, and is written behind, at most half a second later for groups and offsets and a second later for
// producers. Nobody waits for a write: what changes is only noted, in a map that has one place for each key, and where
// Redis is slow or away the write is given up, counted as dropped, and done later with the values of then. In a new era
// everything is written anew.
//
// Groups and offsets are read back when a partition is loaded, so that the log is read from the offset on that they
// stand at. They are used only as a whole and only if the head, a copy written behind them, fits: it names the offset, how
// many copies there are and a digest of all of them. Copies that went back, are lost, torn or of another era do not
// fit together or stand at an older offset; then more of the log is read, or all of it. Producer state is not
// read back: a boot reads every footer anyway.
//
// Floor 3: above metadata and topic. Goroutines: Run, by the caller. A Writer is safe for concurrent use; each table has
// its mutex, which is not held across a call to Redis. Format: docs/format/redis.md, "Copies".
package copies
