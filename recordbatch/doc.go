// Package recordbatch reads, checks and patches Kafka record batches of format v2 in place, without unpacking
// their records.
//
// A batch is what a producer sends and a consumer gets, byte for byte; a broker changes only its base offset and
// leader epoch, which the batch's CRC does not cover, and with log-append time its maximum timestamp:
//
//	0        8       12     16 17    21  23        27        35        43     51 53      57      61
//	| base   | length| epoch |2| crc |att| last    | base    | max     | prod-|ep| base  | record| records ...
//	| offset |       |       | |     |   | delta   | time    | time    | ucer |och| seq  | count |
//	                                 `------------------------- covered by crc ------------------------->
//
// Check is what a produced batch must pass, CheckStored what one must that key compaction may have passed. Records is for
// the few that must look inside (look-ups by time, group state, tools): it unpacks gzip, snappy, lz4 and zstd with a cap on
// what may come out. Build makes batches for the records that a broker writes itself. Unpack, AppendKept and AppendEmpty
// write a batch again with fewer records or none; Compress packs them.
//
// Floor 0: imports topic only, does no I/O, reads no clock, starts no goroutine. All functions may be called
// concurrently on different batches. The format is Kafka's: kafka.apache.org/documentation/#recordbatch.
package recordbatch
