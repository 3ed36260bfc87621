// Package copies tests with a real agent and a real Redis what is kept there of groups, committed offsets and producers:
// that it is what the log says, comes back when Redis forgets, is read when an agent starts, and that nobody waits for
// it. Seen by none; there are _test files only.
package copies
