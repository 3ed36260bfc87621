// Package traffic is the clients of a pool under test, and the notes they take: each call goes into a history.Log with
// its beginning, its end and its outcome.
//
//   - producers: idempotent ones and ones with acks=1, a few records under way for each partition, so that a partition
//     that stands still does not hold up the others;
//
//   - consumers: assigned ones that read everything once, and two groups that commit what they were handed;
//
//   - an admin that creates topics, adds partitions, writes, reads back and deletes;
//
//   - probes that ask for ends, committed offsets and leaders, and each agent for itself (KIP-392: with its own rack) for
//     its high watermark.
//
//     t := traffic.New(traffic.Config{…})
//     t.Start(ctx)
//     w := t.Watch()        // first ack of each partition from now on
//     t.StopProducing(limit); t.Drain(limit); t.Stop()
//     final := traffic.ReadAll(…)
//
// Start starts a goroutine for each client and for each probe of an agent; Stop waits for all of them. Used by test/chaos
// and test/demo.
package traffic
