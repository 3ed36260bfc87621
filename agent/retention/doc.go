// Package retention drops old records: at every log.retention.check.interval.ms it raises the log starts of the partitions
// that this agent owns as the topics' retention.ms and retention.bytes say (rule G3).
//
//	plan.go ───── what goes: a pure function of settings, time and what a partition holds
//	clock.go ──── what time it is: two of this machine's clock, the bucket's and Redis' must agree
//	retention.go  the pass, and what stops one: a clock that jumped
//
// Records go in units: an extent of a slot, or what a compacted object has of the partition (a run). A unit goes whole, when
// its newest record is old enough; so records stay at least as long as the settings say, and at most a unit longer. What is
// dropped here is gone for clients only. The bytes go when compaction and TRIM have come by (I9).
//
// Floor 3: an engine. What a partition holds and how a log start is raised are Records, which the agent joins to fetch and
// ingest. Long goroutines: Engine.Run; the agent starts it and waits for it.
package retention
