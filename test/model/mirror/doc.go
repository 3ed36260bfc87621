// Package mirror models the index that an agent keeps in memory of partitions that others own, and the fetches that it
// serves from it (KIP-392): how slots of several journals come in, from Redis by a cursor per journal and from the bucket
// once a journal is sealed, in any order; what is visible of them; and what an answer needs so that the high watermark
// does not go back for a client that asks one agent after another (I5, I6, I7).
//
// One partition moves between three journals and comes back to one that had it. Agents 0 and 1, who write journals 0 and
// 1, are also the readers. Redis may be away, and it may be flushed: how an era is built is in package eras, here it
// opens when it holds all that counts.
package mirror
