// Package meter counts what a bucket is asked for: requests are what a bucket's bill is made of. It wraps any store
// and publishes
//
//	odradek_objectstore_requests_total{kind,outcome}  requests; kind as objectstore.Kind, outcome one of ok, exists,
//	                                                  not_found, range, cancelled, error
//	odradek_objectstore_bytes_total{kind}             bytes of bodies: sent by create, received by get and get_range
//	odradek_objectstore_request_seconds{kind}         how long calls took, whatever their outcome
//
// A List counts one request for each 1,000 objects it passed on, as S3 answers and bills it. Attempts that a client
// repeats by itself, which only reads do, count once.
//
// Floor 1. It starts no goroutine. Counts are read back with Store.Requests and Store.Bytes, for prices and tests.
package meter
