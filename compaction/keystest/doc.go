// Package keystest makes partitions with keys, as many different ones as there are seeds, for tests of key compaction:
// batches of every codec, tombstones, records without a key, idempotent and transactional producers and their markers,
// timestamps of clients and of brokers.
//
// The partitions are what Kafka producers could have written, so that Apache Kafka's own cleaner takes them too
// (test/clients/cleaner).
//
// For tests only. A Partition belongs to one goroutine.
package keystest
