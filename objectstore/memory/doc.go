// Package memory is a bucket in a map, for tests and for `--bucket memory://`. It keeps every promise of
// objectstore.Store but durability: what it holds ends with the process.
//
// Floor 1. It starts no goroutine and reads the clock only for Info.Modified, so it runs inside a
// testing/synctest bubble. A Create checks the body's size and CRC32C, so bytes that change while they are being
// stored are found by the tests that run on it.
package memory
