package copies

import "time"

const (
	every          = 500 * time.Millisecond // groups and offsets are written this often
	producersEvery = 2                      // producers every so many times
	giveUp         = 3 * time.Second        // a write that takes longer is dropped; one read at a load as well
	atOnce         = 1000                   // copies of one call
	bytesAtOnce    = 4 << 20                // of their values, unless the first one alone is larger
	partsAtOnce    = 256                    // producer states of one call: each is a script of its own in Redis
	maxParts       = 1024                   // producer states of one round, the others follow in the next
	maxState       = 256 << 10              // a producer state that is larger is not copied
	spareDeleted   = 1000                   // tombstones in Redis, beyond the number of live copies, before all is written anew
)
