// Package objectstoretest is the specification of objectstore.Store and Uploader as a test suite: what it checks, callers may
// rely on, and nothing else. Every implementation runs it from its own tests, the clients of S3 against real
// servers.
//
//	func TestConformance(t *testing.T) {
//		objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return memory.New() })
//	}
package objectstoretest
