// Package history is what the clients of a pool saw: one Event for each call, with its beginning, its end and its
// outcome, in memory, in a file of JSON lines, or in both.
//
//	log, _ := history.Create("history.jsonl")
//	began := log.Now()
//	…
//	log.Add(history.Event{Kind: history.Produced, Client: "p1", Start: began, End: log.Now(), …})
//
// Times are of one monotonic clock, that of the process that holds the log: "call A ended before call B began" is
// therefore a fact, and the checker builds on nothing else. A call whose end nobody saw ends at Never.
//
// Every record has a value of its own (Value), so that a value alone says who sent it, where to and as which number.
//
// Log is safe for concurrent use and starts no goroutine. Nothing is ever taken out of it.
package history
