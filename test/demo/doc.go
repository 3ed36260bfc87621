// Command demo shows what Odradek is for, in a minute: three agents on one bucket and one Redis, idempotent producers and
// a consumer group, and meanwhile an agent is killed, Redis is wiped, an owner is stopped and Redis is taken away.
//
//	make demo                     a directory as bucket, redis-server from PATH
//	make demo STORE=minio         MinIO
//	go run ./test/demo -seconds 20
//
//	at 15 s  SIGKILL of an agent, started again 10 s later
//	at 30 s  FLUSHALL
//	at 40 s  SIGSTOP of an owner for 10 s
//	at 50 s  Redis is stopped for 5 s, and comes back empty
//
// Times scale with -seconds. One screen shows owners, lag, the time of acks (p99) and each fault with its seconds to
// recovery: until a record sent after the fault was acked on every partition. Where standard output is no terminal, a line
// is printed every 5 s. It ends with what package check of test/chaos says of the history, and with exit status 1 if a
// record is lost, doubled or out of order, if any other rule is broken, or if the bucket is not clean.
//
// The goroutines are those of test/chaos/traffic and one for each fault; all are waited for.
package main
