// Package checkpoint holds the bytes of checkpoints and reads and writes them through a bucket: snapshots of control
// state, index and producer state at one control number and one slot per journal (G1). The format is
// docs/format/checkpoint.md.
//
// A checkpoint is one head and any number of parts. The head holds the control state, where every journal and every
// partition stands, and the names of the parts; the parts hold the extents of the index and the producers. Parts are
// sharded by partition and made of what is new since the checkpoint before: a head names most of the parts that the one
// before named, and Compose writes only what changed, so that a checkpoint costs in proportion to what happened since.
//
// What a head and its parts say depends on the log alone: two who compute it from the same checkpoint before, at the same
// control number and the same slots, get the same bytes before packing, and parts that are named by a hash of them. No
// object says of itself that it counts; the control log does.
//
// Files: key.go (names in the bucket), envelope.go (header, packing, checksum of every object), head.go, part.go (their
// bodies), rows.go (reading), compose.go (what the next checkpoint is made of), store.go (requests, tried again).
//
// Floor 2: it calls an objectstore.Store and imports nothing above. It reads the clock for retries only. Its goroutines,
// which read parts ahead, end with the call that started them.
package checkpoint
