// Package slotlog keeps numbered chains of objects in a bucket: the control log and the journals.
//
// Its one primitive is the store's Create. Whoever creates slot n has decided what n is, for ever; creating a seal
// at n closes the log. Everything that Odradek promises rests on the few rules here:
//
//   - S1: a slot belongs to one body. Once its first PUT was sent, only "created" or "exists" frees it; every other
//     answer means unknown, and the same bytes are sent to the same key again (land.go).
//   - I2: a slot counts when it is data and every slot below it counts (slotlog.go).
//   - A seal is created at the first slot that is not data, never above a hole (seal.go).
//   - O1: an owner is proved unsealed by a slot of its own that counts and was sent after the question, or by a HEAD
//     that finds nothing at the first slot that does not count (proof.go).
//
// Files: envelope.go (the 48 byte trailer of every object, docs/format/slot.md), keys.go (names in the bucket),
// land.go (one body, one slot), slotlog.go (Writer: a journal's window of slots in flight), seal.go (closing another's
// journal), control.go (one number at a time), read.go, proof.go.
//
// Floor 2: it calls an objectstore.Store and imports nothing above. It reads the clock for retries and hedging only,
// never for safety. The one long goroutine is Writer.Run, started and awaited by the agent; each slot in flight has
// an upload goroutine that Run waits for.
package slotlog
