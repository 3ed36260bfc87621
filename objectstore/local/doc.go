// Package local is a bucket in a directory. It is the default of an agent without settings, and safe for several
// processes of one host at once.
//
// Floor 1. Create makes link(2) its conditional PUT: the body goes to a temporary file of the same file system,
// the file is fsynced, linked to the key's name - which fails if the name is taken - and the directory is fsynced.
// A power cut at any moment leaves either no object or the whole object; what Create answered nil for is there.
//
//	<dir>/control/000...          an object: the key is the path
//	<dir>/.odradek.lock           Lock: one agent with its index in memory, or many that share a Redis
//	<dir>/.odradek.tmp/<pid>-...  bodies and uploads being written; removed at Open when their process is gone
//
// An answer that rests on an object - ErrExists, the bytes of a Get, a Head - is given only once the object's name
// is durable, whichever process created it: a reader that acted on a name which a power cut takes back would have
// acted on nothing (see durable.go).
//
// It starts no goroutine. Directories are made as keys need them and are not removed with their last object.
package local
