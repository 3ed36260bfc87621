// Package clients runs the clients that people have against a running agent: the programs of examples/, as their
// READMEs say, and a matrix of libraries, old and new, in Java, Python, Go, Node and C. Every test compares what was
// read with what was acked: set, order per partition, offsets, keys, headers, and timestamps where the library shows
// them.
//
//	prefetch   prefetch.sh fetches and builds a language's libraries, beside the tests; kept in .cache/clients
//	probe      a process around a library: a job a line in, results a line out, as JSON
//	record     a record as all libraries see it, and the comparison
//	example    a program of examples/ that runs, and its output
//
// The probes are java/, python/probe.py, node/probe.js and sarama/; franz-go is used in the tests' own process.
//
// A program or library that is missing fails the test with a line that says what to type; no test is skipped.
package clients
