// Package traces runs a real agent that traces requests, with a collector of its own, and looks at the spans of a produce and a
// fetch: from the client's frame down to the requests to the bucket.
//
// It stands on no floor: it sees everything and is seen by none. The collector's goroutines are net/http's and end with the
// test.
package traces
