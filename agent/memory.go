package agent

import (
	"runtime/debug"

	"github.com/odradek/odradek/agent/settings"
)

// shares is --memory divided among what grows with the clients. Together they leave a tenth: for packed copies of what
// is being uploaded, and for extents that are being unpacked.
//
//	frames ──> pending ──> tail        a produced record moves from one to the next, its bytes are not copied
//	catch-up ──> answers               a fetched one is read into the first and written from the second
type shares struct {
	frames  int64 // requests that are read, decoded or wait to be admitted
	pending int64 // admitted batches whose slot does not count yet
	tail    int64 // batches of slots that counted here a moment ago
	catchUp int64 // what was read from the bucket
	answers int64 // records of fetch answers that have not left
	merge   int64 // what one job of compaction takes out of slots
}

// mostMerge is the most that a job of compaction takes, however much memory there is: what it makes is one PUT still.
const mostMerge = 120 << 20

// leastFrames has room for a request that brings a full batch for each of many partitions, as some clients send them.
const leastFrames = 32 << 20

func divide(memory settings.Bytes) shares {
	m := int64(memory)
	return shares{frames: max(m/6, leastFrames), pending: m / 6, tail: m / 6, catchUp: m / 6, answers: m / 8, merge: min(m/12, mostMerge)}
}

// limitHeap tells the collector what it may let the heap grow to. What is bounded takes --memory at most, and a collector
// that has a quarter of that again runs seldom enough.
func limitHeap(memory settings.Bytes) { debug.SetMemoryLimit(int64(memory) + int64(memory)/4) }
