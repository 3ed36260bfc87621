// Package cache keeps bytes that were read from the bucket, or written to it a moment ago, within a fixed number of
// bytes: least recently used goes first, and what is missing is loaded once however many ask.
//
// Floor 2. It owns no goroutine; the first of those who ask for a missing value loads it for all of them. fetch has one Cache for
// the tail, which the owner fills as slots count, and others for what catch-up readers bring from the bucket, so that
// these cannot evict the tail.
package cache
