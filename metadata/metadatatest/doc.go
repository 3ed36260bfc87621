// Package metadatatest is the conformance suite of package metadata: what its roles mean, told as tests. Every
// implementation runs it whole:
//
//	metadatatest.Run(t, func(t *testing.T) metadata.Store { ... })
//
// open returns an empty store that answers now and is closed when the test ends. The suite is used by tests only; it
// starts no goroutine that outlives its test.
package metadatatest
