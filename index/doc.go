// Package index finds the extent that holds an offset, or the first one young enough: for each partition the row of
// extents from its log start to its end, in memory.
//
// It holds what counts and nothing else (I6); whoever adds an extent has made sure of that. Extents of a partition
// follow one another without a gap, so that an entry costs 56 bytes and every look-up is a binary search; those that come
// before their turn are kept aside (aside.go) and are not found. What is compacted takes the place of extents: a list of
// runs, which control state has and the index shares (runs.go). An index is not saved anywhere: it is made from footers.
//
// Floor 0: imports topic and segment, does no I/O, reads no clock, starts no goroutine. An Index belongs to one
// goroutine at a time; callers that share one lock it.
package index
