// Package redis keeps the index copy, heartbeats, doorbell and state copies in Redis 7.0 or later, or what speaks its
// protocol and runs its scripts. Every call is one Lua script (a pipeline of them where it is a batch): scripts/*.lua,
// each with its keys, arguments, replies and cost on top, and scripts/pin.lua before each.
//
// Floor 1; implements all roles of package metadata and is held to metadata/metadatatest. go-redis types stay inside. It
// starts no goroutine beyond the client's own dials; Listen blocks in the caller's.
//
// Every script compares the pin with INFO (run id, replication id) and with the era that is open, before it writes
// anything, so that a flushed, restarted, rolled back or promoted Redis, an isolated old master or an agent of a
// closed era changes nothing. All checks come before the first write, and a script is atomic. Every script may be
// repeated: a lost reply is asked for again.
//
// All keys share the hash tag {cluster id}. What they are and what their loss means: docs/format/redis.md.
package redis
