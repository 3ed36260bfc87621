// Package meter counts what a bucket is asked for and what that costs: requests are what a bucket's bill is made of. It wraps
// any store and publishes two accounts.
//
// Calls, as the agent makes them:
//
//	odradek_objectstore_requests_total{kind,outcome}  calls; kind as objectstore.Kind, outcome one of ok, exists,
//	                                                  not_found, range, cancelled, error
//	odradek_objectstore_bytes_total{kind}             bytes of bodies: sent by create, received by get and get_range
//	odradek_objectstore_request_seconds{kind}         how long calls took, whatever their outcome
//
// A List counts one request for each 1,000 objects it passed on. Attempts that a client repeats by itself count once.
//
// The bill, of requests as they leave the machine (objectstore.Attempt): what a client repeats, each hedge and each page of a
// list is a request of its own, whatever became of it, so that a proxy before the store counts the same:
//
//	odradek_meter_requests_total{kind,reason}  reason as objectstore.Reason: what the request was for
//	odradek_meter_bytes_total{kind,reason}     bytes of objects that it carried
//	odradek_meter_dollars_total{kind,reason}   what that costs by the table of prices
//	odradek_meter_prices_info{table}           1: which table that is
//
// A store that is no service, such as a directory, has calls for requests. Prices has a table for S3 Standard, S3 Express, what
// costs nothing, and one's own.
//
// Floor 1. It starts no goroutine. Counts are read back with Store.Requests, Store.Bytes and Store.Billed.
package meter
