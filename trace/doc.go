// Package trace carries spans of requests through the floors, from a client's frame to the bucket, without a word of what
// records them.
//
// A span travels in a context. Where none is in it, which is always so with traces off, every function here does nothing and
// allocates nothing: parts of the agent say what they do without asking whether somebody looks. Floor 5 (agent/otlp) records
// spans, and agent/wire begins one for a request.
//
// A slot holds what many requests brought: its span begins a trace of its own, joined to theirs by links (Joined), and each of
// theirs is linked to it in turn.
//
// It stands on floor 1 and imports nothing of this module. It starts no goroutine. Headers of records are not touched: which
// trace a record belongs to is between producers and consumers.
package trace
