// Command bench measures the figures of docs/benchmarks.md: an agent as a process of its own, on loopback, beside a
// reference taken in the same run. Numbers of a shared machine are noisy; ratios within one run are what counts.
//
//	go run ./test/bench cpu        agent CPU s/GiB beside a bare agent that only does what cannot be avoided
//	go run ./test/bench latency    one request at a time beside a raw PUT
//	go run ./test/bench pipeline   one idempotent producer, 5 x 1 MiB in flight, slow PUTs injected
//	go run ./test/bench idle       requests of an idle agent with 100 clients, 50 of them committing
//	go run ./test/bench json       bytes in the bucket per byte of JSON lines
//	go run ./test/bench start      from start to the first record acknowledged, and RSS at rest
//	go run ./test/bench keyed      memory of a cleaning by key of many keys, by odradek compact --once; minutes, not in all
//	go run ./test/bench bill       requests and dollars for each GiB, by the cost meter, at a rate; minutes, not in all
//	go run ./test/bench all
//
// sink, bare and load are the processes that the others start.
//
// Those of docs/reliability.md start a pool: agents, Redis and, with -store minio, a MinIO behind a link of
// test/chaos/link. They take minutes, all is not all of them; each prints a table and, in the end, which error codes
// clients were answered and whether anything acked was lost, doubled or out of order. -h tells their flags.
//
//	go run ./test/bench unavailability   how long partitions are silent: -fault kill, again, term, move
//	go run ./test/bench redis-away       a Redis that hangs, and one that is gone, for a minute
//	go run ./test/bench redis-lost       a Redis that forgot everything, with all agents alive or one killed
//	go run ./test/bench outage           a bucket that is gone for a minute, under more load than memory and WAL hold
//	go run ./test/bench elastic          one agent, six, two within two minutes
//	go run ./test/bench spread           three agents beside one; PUTs by agents, bytes and partitions
//	go run ./test/bench steady           an hour of load with retention: bytes, objects and Redis memory must stay flat
//	go run ./test/bench history          starts, and a Redis that is filled again, behind a million extents; behind 10 x the slots
//	go run ./test/bench retained         what Redis holds for what was compacted, by the number of partitions
//
// Their goroutines are those of a load (pulse, followers) and are waited for by its close.
package main
