// Package hardening runs real agents against bad input and overload, over TCP: frames that lie, requests that were
// damaged, batches that must not be stored and bodies that cannot be unpacked, clients that send faster than the bucket
// takes and read slower than they ask. Each test wants a Kafka error code or a closed connection, a metric that counted
// it, memory within what --memory promises, and a bystander, an honest producer and consumer, that notices nothing.
//
//	wire       a raw connection, for what no client library would send
//	bystander  a producer and a consumer that compare what was acked with what was read
//	slow       a bucket whose PUTs take their time
//	memory     the resident set of an agent's process, now and at its highest
//
// The short form takes about two minutes; ODRADEK_TEST_LONG=1 asks for more of the same.
package hardening
