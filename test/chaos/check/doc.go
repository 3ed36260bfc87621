// Package check judges a history: what clients saw, what every agent serves in the end, and what the bucket and Redis hold. It
// knows nothing of how the history came about, and is itself tested with histories that it must reject.
//
// The rules, by the names that violations carry:
//
//	lost         an acked record (acks=all) is not at its offset; with acks=1 that may be, but only after a takeover
//	doubled      a record of an idempotent producer is at two offsets
//	changed      an offset held one value and then another, for anybody, on any agent
//	disorder     records of one producer stand in a partition in another order than it sent them
//	invented     a record that nobody sent, or not to this partition, or that is damaged
//	skipped      a consumer passed an offset by
//	end          the end of a partition went back for a client (I7), or behind what was acked or read
//	committed    a committed offset went back (I7), or was never committed
//	watermark    the high watermark went back on one agent, or below the fetch offset (I7)
//	out of range OFFSET_OUT_OF_RANGE for an offset that was acked or read before
//	agents       an agent does not serve every record in the end
//	bucket       the bucket, walked offline, is not clean or does not hold what consumers saw
//	redis        the index in Redis differs from what the bucket gives, lacks some of it, or was not compared
//	linear       appends, reads and ends of a partition, in a sampled window, fit no order at all (porcupine)
//
// "Before" always means that one call ended before another began. Check is a pure function, but for the seconds that
// porcupine may take, and starts no goroutine of its own.
package check
