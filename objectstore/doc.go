// Package objectstore says what Odradek asks of a bucket: six methods, of which one matters. Create stores an
// object if and only if its key does not exist; everything that is decided in a cluster is decided by who wins a
// Create. What is too large for one body is an Upload, whose completion keeps the same promise; CreateLarge takes
// whichever fits.
//
// Floor 1, devices. The implementations live below: s3 and minio speak to S3 and what is compatible, local
// keeps objects as files of a directory, memory keeps them in a map. faulty and meter wrap any of them, to inject
// faults and to count requests. bucket opens a store from a URL and probes that it keeps its promise.
// objectstoretest is the suite that all of them pass; it is the specification of Store.
//
// Nothing here starts a goroutine that outlives a call, and nothing retries a Create: who calls it knows which
// bytes belong to which key, and repeats them (rule S1: a number belongs to one body).
package objectstore
