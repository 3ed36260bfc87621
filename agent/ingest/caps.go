package ingest

import (
	"time"

	"github.com/odradek/odradek/segment"
)

// What bounds a buffer. A slot is given out before its segment is built, and one that stays empty ends the journal (S1):
// so segment.Build must have nothing to refuse. 48 MiB of batches, 24 bytes of block table for each, a footer of
// at most 50 bytes a batch, an extent and a log start, and a summary of 63 slots lie below segment.MaxPayload.
const (
	// MaxBatchBytes is the most that one partition may bring in one request, whatever max.message.bytes says.
	MaxBatchBytes = 48 << 20
	maxBatches    = 100_000            // of a buffer, and of one partition in one request
	maxExtents    = segment.MaxExtents // partitions of a buffer, and RELEASEs and log starts in it
)

// What bounds the RELEASEs of a buffer. Together they leave the room that a full buffer's footer needs; a larger one has a
// slot of its own, without batches.
const (
	sharedReleaseBytes = 4 << 20
	maxReleaseBytes    = 12 << 20 // of one: with a summary it lies below segment.MaxFooter
	releaseBytes       = 72       // of one in a footer with its log start, its producers aside, at most
)

const (
	maxTokens  = 20                   // PUTs that may be saved up
	quiet      = 2 * time.Millisecond // nothing new for this long: whoever wanted to be in this slot is in it
	quietLimit = 8 * time.Millisecond // however busy the producers are
	lazyWait   = time.Second          // what may wait waits this long at most (T2)
	shortest   = time.Millisecond     // of the waits of the freezing loop
)
