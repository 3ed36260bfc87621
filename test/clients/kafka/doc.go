// Package kafka gives the same records to a broker of Apache Kafka and to an agent, with compaction by key, retention and
// DeleteRecords in short order, and compares what both of them have and say afterwards: which records are left at which
// offsets, where partitions begin, which offset belongs to a time, and how requests for what is gone are answered.
//
// Kafka is one Java process on loopback (Main.java), out of the jars that prefetch.sh in the directory above fetches. What
// differs on purpose stands in docs/protocol.md. test/peer compares the answers to all other requests, by hand.
package kafka
