// Command chaos runs a pool of real agents on a real Redis and a real bucket under load, breaks what can be broken, and
// has what clients saw judged.
//
//	go run ./test/chaos -minutes 3 -seed 7 -store minio
//	go run ./test/chaos -minutes 10 -agents 5 -lease 1500ms
//	go run ./test/chaos -faults flush,kill          only faults whose name holds one of these
//	go run ./test/chaos -judge DIR                  judge the history of a run again
//	go run ./test/chaos -minutes 60 -record FILE    append what the run came to to a file
//	go run ./test/chaos -sum FILE...                add such runs up
//
// Each fault is printed with its time, its target and the seconds until every partition had an ack again; the run ends
// with counts and a judgement. The exit status is 1 if a rule of package check was broken, if something did not come
// back, or if the run reached no takeover or no recovery of Redis and so proves nothing. History, logs and data are kept
// in the directory that is printed first; after a clean run only with -keep.
//
// The agents are built to be broken from inside too (package agent/chaos, docs/chaos.md), which takes a minute the first
// time; -inside=false takes them as users run them.
//
//	faults.go           what can be broken, by class: agents, Redis, bucket
//	deck.go             deals faults by the seed and by their weights
//	faults_agent.go     kill, terminate, stop, cut off, join, leave
//	faults_redis.go     flush, kill, tear, fail over, roll back, split, stop, fill, cut off
//	faults_inside.go    crash at a point of the protocol, jumping clocks, disk errors, torn WALs, a full one
//	faults_bucket.go    slow, 503s, outage, answers lost, PUTs that land late, damaged GETs
//	run.go              the run: faults alone, in pairs, or several during one of a minute, until all partitions are back
//	judge.go            reads everything from everybody in the end
//	offline.go          and all records in the bucket, without an agent
//	tally.go            what the run reached: takeovers, moves, eras, fenced journals, quarantines
//	evidence.go         what a run came to as a line of a file, and the sum of many
//
// The seed fixes the order of faults, their targets and their lengths; what the processes make of them it cannot fix.
package main
