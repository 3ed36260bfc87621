// Package cleaner runs Apache Kafka's own log cleaner beside ours: the same partitions, cleaned at the same times, must be
// left with the same batches and records.
//
// Kafka's side is a Java process that drives UnifiedLog and Cleaner out of the jars that a broker of that version runs (Main.java
// has the protocol); prefetch.sh in the directory above fetches and builds it into target, which git does not see. There is no
// broker and no clock: a test says when it is.
package cleaner
