// Package metadata says what Odradek keeps beside the bucket: a copy of the index, copies of group and producer
// state, heartbeats and a doorbell. All of it may be lost at any moment and is built again from the bucket (I6: it
// may be behind the bucket, never ahead of it). Nothing here makes a record durable.
//
// Floor 1. This package holds the roles (interfaces) and the values that pass through them; metadata/redis and
// metadata/embedded implement all roles with the same meaning, and metadata/metadatatest is the suite that says
// what that meaning is. No goroutine is started here; Doorbell.Listen blocks in the caller's.
//
// Everything lives under an era, one life of the contents, numbered by the control log. A Pin names the era with
// the identity (run id and replication id) of the store it is for, and every call carries one: a store that was
// flushed, restarted, rolled back or promoted answers ErrEra and changes nothing. At most one era is open, to
// readers and writers; a higher one may be under construction beside it, under keys of its own.
//
// Every write may be repeated with the same arguments, so that a lost reply needs no thought: ask again.
//
// The keys in Redis: docs/format/redis.md.
package metadata
