// Package bucket opens the store that a URL names, and probes that it keeps the promise everything rests on.
//
//	file:///var/lib/odradek                            a directory
//	memory://                                          this process's memory, new at each Open
//	s3://bucket/prefix?region=…&endpoint=https://…     Amazon S3 or compatible, by aws-sdk-go-v2
//	minio://host:port/bucket/prefix?secure=false       MinIO or compatible, by minio-go
//
// The prefix may be empty. An endpoint is spoken to with the bucket's name in the path. Credentials never stand in a
// URL, where process lists and logs would show them; they come from the standard AWS places. A query key that is not
// named here is an error.
//
// Floor 1: it is the one package that imports all stores, so that they need not know each other. It starts no
// goroutine that outlives a call.
package bucket
