// Package crash proves that nothing is lost: it runs real agents under load from real clients, kills them, cuts their
// bucket, flushes their Redis, fills their disk and damages their WAL, and then compares what can be read with what was
// acked: set, order per partition, offsets, keys, values, headers and timestamps.
//
//	ledger   what producers were told, and what a log must therefore hold
//	load     producers that fill a ledger
//	watcher  a consumer that reads along: what was visible once must stay as it was
//	proxy    stands before a bucket or a Redis and can be cut
//
// Linux only. The short form takes a few minutes; ODRADEK_TEST_LONG=1 asks for the long one. Filling a disk needs the
// right to mount a tmpfs: without root the tests run again in a user namespace of their own.
package crash
