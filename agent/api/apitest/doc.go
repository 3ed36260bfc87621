// Package apitest is a set of engines in memory, for tests of agent/api and agent/wire: one agent, topics in maps,
// records in slices. It keeps no promise but those that requests can see, checks of batches excepted: a batch is
// read by its header only.
//
// It stands beside agent/api and is imported by tests only. It starts no goroutine.
package apitest
