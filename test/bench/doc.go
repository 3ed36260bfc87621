// Command bench measures the figures of docs/benchmarks.md: an agent as a process of its own, on loopback, beside a
// reference taken in the same run. Numbers of a shared machine are noisy; ratios within one run are what counts.
//
//	go run ./test/bench cpu        agent CPU s/GiB beside a bare agent that only does what cannot be avoided
//	go run ./test/bench latency    one request at a time beside a raw PUT
//	go run ./test/bench pipeline   one idempotent producer, 5 x 1 MiB in flight, slow PUTs injected
//	go run ./test/bench idle       requests of an idle agent with 100 clients, 50 of them committing
//	go run ./test/bench json       bytes in the bucket per byte of JSON lines
//	go run ./test/bench start      from start to the first record acknowledged, and RSS at rest
//	go run ./test/bench all
//
// sink, bare and load are the processes that the others start.
package main
