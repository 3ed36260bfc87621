// Package embedded keeps in memory what metadata/redis keeps in Redis, with the same meaning: it is the metadata store of
// an agent that is alone (rule B5). Its contents end with the process, so every start builds a new era from the bucket.
//
// Floor 1; implements all roles of package metadata and is held to metadata/metadatatest. It starts no goroutine; one
// mutex guards everything, and no call blocks but Listen.
//
// The identity of a Store is drawn at random by Open, so that two Opens are two stores.
package embedded
